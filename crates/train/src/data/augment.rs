//! Augmentation of training images, on bytes: a random crop out of the zero-padded image, then a mirror image of it in
//! one case of two.
//!
//! The usual augmentation for CIFAR (He et al. 2015, arXiv 1512.03385, section 4.2: 4 pixels on each side). Padding is
//! black, byte 0, before normalisation, as in torchvision's `RandomCrop(32, padding=4)`.

use counterfoil_ticket::ImageShape;
use rand_chacha::rand_core::Rng;
use serde::{Deserialize, Serialize};

use super::sample::below;

/// How training images are varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Black pixels put on every side before an image of the original size is cut out; 0 for no crop.
    pub padding: u16,
    /// Whether half of the images, drawn at random, are mirrored left to right.
    pub flip: bool,
}

impl Augmentation {
    /// Images as they are.
    pub const NONE: Self = Self { padding: 0, flip: false };
    /// The usual one for CIFAR.
    pub const CIFAR: Self = Self { padding: 4, flip: true };

    /// What suits images of this shape: 32×32 in colour are treated as CIFAR's, all others are left alone.
    pub fn usual(shape: ImageShape) -> Self {
        if <[u32; 3]>::from(shape) == [3, 32, 32] { Self::CIFAR } else { Self::NONE }
    }
}

/// Writes a random variant of `image` into `out`, both [channels, height, width].
///
/// Draws in the order: row, column, mirror; nothing for what the augmentation leaves out. Panics if one of the two is
/// not of the shape's size.
pub fn augment(image: &[u8], shape: ImageShape, how: Augmentation, rng: &mut impl Rng, out: &mut [u8]) {
    assert_eq!(image.len(), shape.size(), "image and shape differ in size");
    assert_eq!(out.len(), shape.size(), "output and shape differ in size");
    if shape.size() == 0 {
        return;
    }
    let padding = usize::from(how.padding);
    let mut offset = || if padding == 0 { 0 } else { below(2 * u32::from(how.padding) + 1, rng) as usize };
    let (top, left) = (offset(), offset());
    let mirrored = how.flip && below(2, rng) == 1;

    let (height, width) = (shape.height as usize, shape.width as usize);
    // Output pixel x shows image pixel x + left − padding where there is one: these x's, from that image pixel on.
    let first = padding.saturating_sub(left).min(width);
    let from = left.saturating_sub(padding).min(width);
    let shown = width - first.max(from);
    for (index, row) in out.chunks_exact_mut(width).enumerate() {
        let (channel, y) = (index / height, index % height);
        row.fill(0);
        if let Some(y) = (y + top).checked_sub(padding).filter(|&y| y < height) {
            let start = (channel * height + y) * width + from;
            row[first..first + shown].copy_from_slice(&image[start..start + shown]);
        }
        if mirrored {
            row.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    const SMALL: ImageShape = ImageShape { channels: 2, height: 2, width: 3 };
    const IMAGE: [u8; 12] = [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16];

    fn variants(how: Augmentation) -> BTreeSet<[u8; 12]> {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let variant = |_| {
            let mut out = [99; 12];
            augment(&IMAGE, SMALL, how, &mut rng, &mut out);
            out
        };
        (0..500).map(variant).collect()
    }

    #[test]
    fn without_augmentation_the_image_stays() {
        assert_eq!(variants(Augmentation::NONE), BTreeSet::from([IMAGE]));
    }

    #[test]
    fn a_flip_mirrors_every_row_and_nothing_else() {
        let mirrored = [3, 2, 1, 6, 5, 4, 13, 12, 11, 16, 15, 14];
        assert_eq!(variants(Augmentation { padding: 0, flip: true }), BTreeSet::from([IMAGE, mirrored]));
    }

    #[test]
    fn crops_by_one_pixel_are_nine_with_black_edges() {
        let seen = variants(Augmentation { padding: 1, flip: false });
        assert_eq!(seen.len(), 9);
        for expected in [
            IMAGE,
            [0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 11, 12],
            [5, 6, 0, 0, 0, 0, 15, 16, 0, 0, 0, 0],
            [0, 1, 2, 0, 4, 5, 0, 11, 12, 0, 14, 15],
            [4, 5, 6, 0, 0, 0, 14, 15, 16, 0, 0, 0],
        ] {
            assert!(seen.contains(&expected), "{expected:?}");
        }
    }

    #[test]
    fn only_small_colour_images_are_augmented_by_default() {
        assert_eq!(Augmentation::usual([3, 32, 32].into()), Augmentation::CIFAR);
        assert_eq!(Augmentation::usual([1, 32, 32].into()), Augmentation::NONE);
        assert_eq!(Augmentation::usual([3, 64, 64].into()), Augmentation::NONE);
    }

    proptest! {
        /// Slow reference: every output pixel is looked up on its own.
        #[test]
        fn agrees_with_the_pixelwise_definition(
            height in 1u32..6, width in 1u32..6, padding in 0u16..9, flip: bool, seed: u64
        ) {
            let shape = ImageShape { channels: 2, height, width };
            let image: Vec<u8> = (1..=shape.size()).map(|v| v as u8).collect();
            let mut out = vec![99; shape.size()];
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut again = rng.clone();
            augment(&image, shape, Augmentation { padding, flip }, &mut rng, &mut out);

            let pad = i64::from(padding);
            let mut draw = |bound| if bound == 1 { 0 } else { i64::from(below(bound, &mut again)) };
            let (top, left) = (draw(2 * u32::from(padding) + 1), draw(2 * u32::from(padding) + 1));
            let mirrored = flip && draw(2) == 1;
            let (h, w) = (i64::from(height), i64::from(width));
            for (index, &found) in out.iter().enumerate() {
                let index = index as i64;
                let (channel, y, x) = (index / (h * w), index / w % h, index % w);
                let x = if mirrored { w - 1 - x } else { x };
                let (y, x) = (y + top - pad, x + left - pad);
                let inside = (0..h).contains(&y) && (0..w).contains(&x);
                let expected = if inside { image[((channel * h + y) * w + x) as usize] } else { 0 };
                prop_assert_eq!(found, expected);
            }
        }
    }
}
