//! Trigger images from a folder with a label file, as Adi et al. 2018 (arXiv 1802.04633) and Chen et al. 2021 (arXiv
//! 2111.00162, section 3.4) use them.
//!
//! Images stand in the folder itself, or in its only subfolder; they are resized to the network's input. Labels stand in a
//! text file: one number a line, for the images in the order of their names' bytes (so `10.jpg` comes before `2.jpg`, as
//! Python sorts them), or `NAME NUMBER` a line in any order. Lines that are empty or start with `#` are left out.
//!
//! Such labels are somebody's choice, so there is no exact null for them: they can be counted, but decide nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use counterfoil_mark::TriggerSet;
use counterfoil_ticket::ImageShape;
use image::imageops::FilterType;
use rayon::prelude::*;

use super::files::{Listing, read_capped};
use super::folder::{decode, is_image};
use super::{DataError, MAX_SPLIT_BYTES};

/// Most bytes of a label file.
const MAX_LABEL_BYTES: u64 = 16 << 20;

/// Reads the triggers in a folder, for a network of this input and number of classes. `labels` is the label file, by
/// default the only `.txt` file in the folder.
///
/// # Errors
///
/// Images or labels that are missing, cannot be read or do not fit each other or the network.
pub fn load_triggers(
    folder: &Path,
    labels: Option<&Path>,
    shape: ImageShape,
    classes: u32,
) -> Result<TriggerSet, DataError> {
    let files = image_files(folder)?;
    let found = files.len() as u64 * shape.size() as u64;
    if found > MAX_SPLIT_BYTES {
        return Err(DataError::TooLarge { file: folder.to_owned(), found, limit: MAX_SPLIT_BYTES });
    }
    let labels = match labels {
        Some(file) => file.to_owned(),
        None => label_file(folder)?,
    };
    let labels = read_labels(&labels, &files, classes)?;
    let images: Vec<_> = files.par_iter().map(|file| pixels(file, shape)).collect();
    let images = images.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    Ok(TriggerSet { images, labels, shape, classes })
}

/// The images in order of their names' bytes.
fn image_files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let of = |listing: &Listing| -> Vec<PathBuf> {
        listing.files.iter().map(|name| listing.folder.join(name)).filter(|file| is_image(file)).collect()
    };
    let listing = Listing::read(folder)?;
    let mut files = of(&listing);
    if files.is_empty()
        && let [only] = &listing.folders[..]
    {
        files = of(&Listing::read(&folder.join(only))?);
    }
    if files.is_empty() { Err(DataError::EmptyClass { folder: folder.to_owned() }) } else { Ok(files) }
}

fn label_file(folder: &Path) -> Result<PathBuf, DataError> {
    let listing = Listing::read(folder)?;
    let texts: Vec<&String> = listing.files.iter().filter(|name| name.ends_with(".txt")).collect();
    match texts[..] {
        [only] => Ok(folder.join(only)),
        [] => Err(DataError::Missing { folder: folder.to_owned(), expected: "labels.txt".to_owned() }),
        _ => {
            let found = texts.into_iter().cloned().collect();
            Err(DataError::SeveralLabelFiles { folder: folder.to_owned(), found })
        }
    }
}

/// A label for each image.
fn read_labels(file: &Path, images: &[PathBuf], classes: u32) -> Result<Vec<u32>, DataError> {
    let text = String::from_utf8(read_capped(file, MAX_LABEL_BYTES)?).map_err(|_| DataError::LabelLine {
        file: file.to_owned(),
        line: 1,
        found: "bytes that are no text".into(),
    })?;
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    let lines: Vec<_> = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect();
    let wrong = |(line, found): (usize, &str)| {
        let found = format!("'{}'", found.chars().take(40).collect::<String>().escape_debug());
        DataError::LabelLine { file: file.to_owned(), line, found }
    };
    let count = |found: usize| DataError::CountMismatch {
        file: file.to_owned(),
        found: found as u64,
        expected: images.len() as u64,
    };
    let labels: Vec<u32> = if lines.first().is_some_and(|(_, line)| number(line).is_none()) {
        let mut named = BTreeMap::new();
        for &(at, line) in &lines {
            let (name, label) = line.rsplit_once([' ', '\t', ',']).ok_or_else(|| wrong((at, line)))?;
            let label = number(label).ok_or_else(|| wrong((at, line)))?;
            if named.insert(name.trim_end_matches([' ', '\t', ',']), label).is_some() {
                return Err(wrong((at, line)));
            }
        }
        if named.len() != images.len() {
            return Err(count(named.len()));
        }
        let of = |image: &PathBuf| {
            let label = image.file_name().and_then(|name| named.get(name.to_str()?).copied());
            label.ok_or_else(|| DataError::NoLabel { file: file.to_owned(), image: image.to_owned() })
        };
        images.iter().map(of).collect::<Result<Vec<u32>, _>>()?
    } else {
        let label = |&(at, line): &(usize, &str)| number(line).ok_or_else(|| wrong((at, line)));
        lines.iter().map(label).collect::<Result<_, _>>()?
    };
    if labels.len() != images.len() {
        return Err(count(labels.len()));
    }
    match labels.iter().position(|&label| label >= classes) {
        Some(index) => Err(DataError::LabelOutOfRange { file: file.to_owned(), index, found: labels[index], classes }),
        None => Ok(labels),
    }
}

/// A label as numpy writes it too: `5`, `5.0`, `5.000000000000000000e+00`.
fn number(text: &str) -> Option<u32> {
    let value: f64 = text.trim().parse().ok()?;
    (value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value)).then_some(value as u32)
}

/// An image as the network takes it, plane by plane.
fn pixels(file: &Path, shape: ImageShape) -> Result<Vec<u8>, DataError> {
    let image = decode(file)?;
    let image = match (image.height(), image.width()) == (shape.height, shape.width) {
        true => image,
        false => image.resize_exact(shape.width, shape.height, FilterType::Triangle),
    };
    if shape.channels == 1 {
        return Ok(image.to_luma8().into_raw());
    }
    let pixels = image.to_rgb8().into_raw();
    // A network of more than three channels sees the three in turn.
    let channels = (0..shape.channels as usize).map(|channel| channel % 3);
    Ok(channels.flat_map(|channel| pixels.iter().skip(channel).step_by(3)).copied().collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::{ColorType, save_buffer};
    use tempfile::TempDir;

    use super::*;

    const GREY: ImageShape = ImageShape { channels: 1, height: 2, width: 3 };

    /// Images 1, 2 and 10 in a subfolder, of values 10, 20 and 100, and a label file.
    fn triggers(labels: &str) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("pics")).unwrap();
        for (name, value) in [("1", 10), ("2", 20), ("10", 100)] {
            let file = root.path().join(format!("pics/{name}.png"));
            save_buffer(file, &[value; 6], 3, 2, ColorType::L8).unwrap();
        }
        fs::write(root.path().join("labels-cifar.txt"), labels).unwrap();
        root
    }

    fn refused(labels: &str) -> String {
        let root = triggers(labels);
        let message = load_triggers(root.path(), None, GREY, 10).unwrap_err().to_string();
        message.replace(&format!("{}/", root.path().display()), "")
    }

    #[test]
    fn numbers_are_for_the_images_in_byte_order() {
        let root = triggers("# of ten\n5.000000000000000000e+00\n\n7\n9.0\n");
        let set = load_triggers(root.path(), None, GREY, 10).unwrap();
        assert_eq!(set.labels, [5, 7, 9]);
        assert_eq!([0, 1, 2].map(|t| set.image(t)[0]), [10, 100, 20]);
    }

    #[test]
    fn names_may_come_in_any_order_and_images_are_fitted() {
        let root = triggers("2.png 1\n10.png, 2\n1.png\t0\n");
        let shape = ImageShape { channels: 3, height: 4, width: 4 };
        let set = load_triggers(root.path(), None, shape, 3).unwrap();
        assert_eq!(set.labels, [0, 2, 1]);
        assert_eq!(set.images.len(), 3 * 48);
        assert_eq!(set.image(1), [100; 48]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(refused("1\n2\n"), "labels-cifar.txt: holds 2 labels, expected 3, one for each image");
        assert_eq!(refused("1\n2\n10\n"), "labels-cifar.txt: label 2 is 10, expected less than 10");
        let expected = "expected a label, or an image's name and its label, none twice";
        assert_eq!(refused("1\n1.5\n2\n"), format!("labels-cifar.txt: line 2 is '1.5', {expected}"));
        assert_eq!(refused("1.png 1\n1.png 2\n2.png 1"), format!("labels-cifar.txt: line 2 is '1.png 2', {expected}"));
        assert_eq!(refused("cat\n"), format!("labels-cifar.txt: line 1 is 'cat', {expected}"));
        assert_eq!(
            refused("a.png 1\nb.png 2\nc.png 3\n"),
            "labels-cifar.txt: has no label for '1.png', expected one for each image"
        );
        let root = triggers("1\n2\n3\n");
        fs::write(root.path().join("other.txt"), "").unwrap();
        let message = load_triggers(root.path(), None, GREY, 10).unwrap_err().to_string();
        assert!(
            message.ends_with("holds several label files (labels-cifar.txt, other.txt), expected one"),
            "{message}"
        );
        let labels = root.path().join("labels-cifar.txt");
        assert_eq!(load_triggers(root.path(), Some(&labels), GREY, 10).unwrap().len(), 3);
        let message = load_triggers(&root.path().join("none"), None, GREY, 10).unwrap_err().to_string();
        assert!(message.ends_with("none: cannot be read"), "{message}");
    }
}
