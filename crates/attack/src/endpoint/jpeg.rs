//! JPEG compression of what is asked.

use counterfoil_ticket::{ImageShape, Model};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageFormat};

use super::{TOOLBOX, changed_input, input_profile};
use crate::{Attack, AttackError, Attacked, Means, Parameter, Profile, Settings};

/// Compresses images.
pub(crate) struct Jpeg;

impl Attack for Jpeg {
    fn profile(&self) -> Profile {
        Profile {
            parameters: const { &[Parameter::count("quality", "65", [1, 100], "quality of the compression")] },
            ..input_profile("in-jpeg", "compress images as JPEG before the model sees them", TOOLBOX)
        }
    }

    fn run(&self, _: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let quality = settings.count("quality") as u8;
        Ok(changed_input(means.seed, move |image, shape, _| compressed(image, shape, quality)))
    }
}

/// The image through JPEG: in colour if it has three channels, otherwise each channel as a grey image of its own.
fn compressed(image: &[u8], shape: ImageShape, quality: u8) -> Vec<u8> {
    let plane = shape.height as usize * shape.width as usize;
    if shape.channels != 3 {
        let through = |pixels| through(pixels, shape, ExtendedColorType::L8, quality);
        return image.chunks_exact(plane).flat_map(through).collect();
    }
    let interleaved: Vec<u8> = (0..3 * plane).map(|i| image[i % 3 * plane + i / 3]).collect();
    let through = through(&interleaved, shape, ExtendedColorType::Rgb8, quality);
    (0..3 * plane).map(|i| through[i % plane * 3 + i / plane]).collect()
}

/// Pixels, [height, width, channels], compressed and read again; as they are where JPEG cannot hold them (sides above 65,535).
fn through(pixels: &[u8], shape: ImageShape, colour: ExtendedColorType, quality: u8) -> Vec<u8> {
    let mut file = Vec::new();
    let written = JpegEncoder::new_with_quality(&mut file, quality).encode(pixels, shape.width, shape.height, colour);
    let read = written.and_then(|()| image::load_from_memory_with_format(&file, ImageFormat::Jpeg));
    read.map_or_else(
        |_| pixels.to_vec(),
        |image| match colour {
            ExtendedColorType::L8 => image.into_luma8().into_raw(),
            _ => image.into_rgb8().into_raw(),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_quality_changes_more_and_channels_stay_apart() {
        let shape = ImageShape { channels: 3, height: 16, width: 16 };
        // Smooth, and of another brightness in each channel.
        let image: Vec<u8> = (0..768).map(|i| (40 + i / 256 * 60 + i % 256 / 16 * 3) as u8).collect();
        let error = |quality| {
            let changed = compressed(&image, shape, quality);
            image.iter().zip(&changed).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>()
        };
        assert!(error(95) < 768 * 3 && error(5) > 2 * error(95), "{} {}", error(95), error(5));
        let grey = ImageShape { channels: 1, ..shape };
        assert_eq!(compressed(&image[..256], grey, 95).len(), 256);
    }
}
