//! Panels: which independently disclosable part of the mark each position belongs to.
//!
//! Implements "Panels" of docs/protocol.md. The split is a public function of the key and of the carrier's shape and
//! ordinal, so that half of the positions are everybody's to test and the other half is shared out among the sealed
//! panels.

use std::ops::RangeInclusive;

use counterfoil_claim::{PanelCount, PublicKey};
use counterfoil_ticket::Carrier;
use zeroize::Zeroizing;

use crate::stream::{KeyStream, derive};

/// The panel of each position of the carrier, in row-major order: 0, or 1 to `sealed`.
pub fn panels(pk: &PublicKey, sealed: PanelCount, carrier: &Carrier) -> Vec<u8> {
    let mut stream = KeyStream::new(&split_key(pk, carrier));
    let panel: [u8; 256] = std::array::from_fn(|byte| panel_of(byte as u8, sealed.get()));
    let mut panels = Vec::with_capacity(carrier.shape.size());
    stream.slices(carrier.shape.size(), |bytes| panels.extend(bytes.iter().map(|&byte| panel[usize::from(byte)])));
    panels
}

pub(crate) fn split_key(pk: &PublicKey, carrier: &Carrier) -> Zeroizing<[u8; 32]> {
    derive(pk.bytes(), b"counterfoil/v1 split", &[&carrier.id()])
}

/// Below 128 the public panel, the rest cut into `sealed` runs of as equal a length as integers allow.
fn panel_of(byte: u8, sealed: u8) -> u8 {
    match byte.checked_sub(128) {
        None => 0,
        Some(rest) => 1 + (u16::from(rest) * u16::from(sealed) / 128) as u8,
    }
}

/// The bytes that mean a panel: one run.
pub(crate) fn bytes_of(panel: u8, sealed: u8) -> RangeInclusive<u8> {
    let is_it = |byte: &u8| panel_of(*byte, sealed) == panel;
    let first = (0..=u8::MAX).find(is_it).expect("each panel has bytes");
    first..=(first..=u8::MAX).take_while(is_it).last().expect("the first is one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_the_panels_are_all_bytes() {
        for sealed in 1..=4 {
            let runs: Vec<_> = (0..=sealed).map(|panel| bytes_of(panel, sealed)).collect();
            assert_eq!((*runs[0].start(), *runs[usize::from(sealed)].end()), (0, 255));
            assert!(runs.windows(2).all(|pair| pair[0].end() + 1 == *pair[1].start()), "{runs:?}");
        }
    }

    #[test]
    fn the_public_panel_has_half_and_the_sealed_ones_share_the_rest() {
        let sizes = |sealed: u8| {
            let mut sizes = [0; 5];
            (0..=255).for_each(|byte| sizes[usize::from(panel_of(byte, sealed))] += 1);
            sizes
        };
        assert_eq!(sizes(1), [128, 128, 0, 0, 0]);
        assert_eq!(sizes(2), [128, 64, 64, 0, 0]);
        assert_eq!(sizes(3), [128, 43, 43, 42, 0]);
        assert_eq!(sizes(4), [128, 32, 32, 32, 32]);
    }
}
