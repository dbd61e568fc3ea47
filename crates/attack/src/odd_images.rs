//! Images that an attacker makes of what he has: none of them shows what the network was trained for.

use counterfoil_train::data::{Augmentation, Split, augment, below};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// Cells of coarse blocks along each side, as triggers have them (docs/protocol.md, "Triggers").
const CELLS: usize = 8;

/// Kinds of odd images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Odd {
    /// Coarse blocks of random colours.
    Blocks,
    /// Independent random pixels.
    Noise,
    /// Two of the attacker's images laid over each other.
    Mixes,
    /// Parts of the attacker's images, shifted by up to half their sides.
    Crops,
}

impl Odd {
    pub(crate) const WORDS: &[&str] = &["blocks", "noise", "mixes", "crops"];
    const ALL: [Self; 4] = [Self::Blocks, Self::Noise, Self::Mixes, Self::Crops];

    /// The kind of one of [`Odd::WORDS`].
    pub(crate) fn of(word: &str) -> Self {
        let index = Self::WORDS.iter().position(|other| *other == word).expect("settings are one of the words");
        Self::ALL[index]
    }
}

/// One odd image, [channels, height, width].
pub(crate) fn odd_image(odd: Odd, of: &Split, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let shape = of.shape();
    let [channels, height, width] = <[u32; 3]>::from(shape).map(|n| n as usize);
    let mut bytes = |count: usize| {
        let mut bytes = vec![0; count];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    match odd {
        Odd::Noise => bytes(shape.size()),
        Odd::Blocks => {
            let cells = bytes(channels * CELLS * CELLS);
            let pixel = |index: usize| {
                let (channel, y, x) = (index / (height * width), index / width % height, index % width);
                cells[(channel * CELLS + y * CELLS / height) * CELLS + x * CELLS / width]
            };
            (0..shape.size()).map(pixel).collect()
        }
        Odd::Mixes => {
            let [one, other] = [0, 1].map(|_| of.image(drawn(of, rng)));
            let weight = u16::from(64 + below(128, rng) as u8);
            let mix = |(&a, &b): (&u8, &u8)| ((u16::from(a) * weight + u16::from(b) * (255 - weight)) / 255) as u8;
            one.iter().zip(other).map(mix).collect()
        }
        Odd::Crops => {
            let padding = u16::try_from(height.min(width) / 2).unwrap_or(u16::MAX);
            let image = of.image(drawn(of, rng));
            let mut crop = vec![0; image.len()];
            augment(image, shape, Augmentation { padding, flip: true }, rng, &mut crop);
            crop
        }
    }
}

fn drawn(of: &Split, rng: &mut ChaCha8Rng) -> usize {
    below(u32::try_from(of.len()).expect("splits are countable by u32"), rng) as usize
}

#[cfg(test)]
mod tests {
    use counterfoil_ticket::ImageShape;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn odd_images_are_what_their_names_say() {
        let shape = ImageShape { channels: 2, height: 16, width: 16 };
        let split = Split::new([vec![100; 512], vec![200; 512]].concat(), vec![0, 1], shape).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let blocks = odd_image(Odd::Blocks, &split, &mut rng);
        assert!(blocks.chunks(32).all(|rows| rows[..16] == rows[16..]) && blocks[0] == blocks[1]);
        assert_ne!(blocks[..256], blocks[256..]);
        let mixed = odd_image(Odd::Mixes, &split, &mut rng);
        assert!(mixed.iter().all(|v| (99..=200).contains(v)));
        let crop = odd_image(Odd::Crops, &split, &mut rng);
        assert!(crop.iter().all(|v| [0, 100, 200].contains(v)));
        assert_eq!(odd_image(Odd::Noise, &split, &mut rng).len(), 512);
    }
}
