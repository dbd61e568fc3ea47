//! Panels: which independently disclosable part of the mark each position belongs to.
//!
//! Implements "Panels" of docs/protocol.md. An owner's split is a public function of the key and of the carrier's shape and
//! ordinal, so that half of the positions are everybody's to test and the other half is shared out among the sealed
//! panels. A licensee's mark has an eighth of all positions, which only the owner and those he tells know.

use std::ops::RangeInclusive;

use counterfoil_claim::{PanelId, PublicKey, Split};
use counterfoil_ticket::Carrier;
use zeroize::Zeroizing;

use crate::stream::{KeyStream, derive};

/// In a list of panels: none, as most positions are to a licensee's mark.
pub const NO_PANEL: u8 = u8::MAX;

/// Bytes of the split that mean a licensee's panel: one in eight.
const LICENSEES: u8 = 32;

/// The panel of each position of the carrier, in row-major order; [`NO_PANEL`] for those that belong to none.
pub fn panels(pk: &PublicKey, split: &Split, carrier: &Carrier) -> Vec<u8> {
    let mut stream = KeyStream::new(&split_key(pk, split, carrier));
    let panel: [u8; 256] = std::array::from_fn(|byte| panel_of(byte as u8, split));
    let mut panels = Vec::with_capacity(carrier.shape.size());
    stream.slices(carrier.shape.size(), |bytes| panels.extend(bytes.iter().map(|&byte| panel[usize::from(byte)])));
    panels
}

pub(crate) fn split_key(pk: &PublicKey, split: &Split, carrier: &Carrier) -> Zeroizing<[u8; 32]> {
    match split {
        Split::Owner(_) => derive(pk.bytes(), b"counterfoil/v1 split", &[&carrier.id()]),
        Split::Licensee(positions) => {
            derive(positions.as_bytes(), pk.bytes(), &[b"counterfoil/v1 licensees split", &carrier.id()])
        }
    }
}

/// An owner's: below 128 the public panel, the rest cut into runs of as equal a length as integers allow.
fn panel_of(byte: u8, split: &Split) -> u8 {
    match (split, byte.checked_sub(128)) {
        (Split::Licensee(_), _) => {
            if byte < LICENSEES {
                1
            } else {
                NO_PANEL
            }
        }
        (Split::Owner(_), None) => 0,
        (Split::Owner(sealed), Some(rest)) => 1 + (u16::from(rest) * u16::from(sealed.get()) / 128) as u8,
    }
}

/// The bytes that mean a panel of the split: one run, or none.
pub(crate) fn bytes_of(panel: PanelId, split: &Split) -> Option<RangeInclusive<u8>> {
    let is_it = |byte: &u8| panel_of(*byte, split) == panel.get();
    let first = (0..=u8::MAX).find(is_it)?;
    Some(first..=(first..=u8::MAX).take_while(is_it).last().unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use counterfoil_claim::{PanelCount, Positions};

    use super::*;

    fn owner(sealed: u8) -> Split {
        Split::Owner(PanelCount::new(sealed).expect("1 to 4"))
    }

    #[test]
    fn the_bytes_of_the_panels_are_all_bytes() {
        for sealed in 1..=4 {
            let split = owner(sealed);
            let runs: Vec<_> = split.sealed().all().filter_map(|panel| bytes_of(panel, &split)).collect();
            assert_eq!(runs.len(), usize::from(sealed) + 1);
            assert_eq!((*runs[0].start(), *runs[usize::from(sealed)].end()), (0, 255));
            assert!(runs.windows(2).all(|pair| pair[0].end() + 1 == *pair[1].start()), "{runs:?}");
        }
    }

    #[test]
    fn a_licensee_has_one_position_in_eight_and_no_public_panel() {
        let split = Split::Licensee(Positions::from_bytes([1; 32]));
        let runs: Vec<_> = split.sealed().all().map(|panel| bytes_of(panel, &split)).collect();
        assert_eq!(runs, [None, Some(0..=31)]);
    }

    #[test]
    fn the_public_panel_has_half_and_the_sealed_ones_share_the_rest() {
        let sizes = |sealed: u8| {
            let mut sizes = [0; 5];
            (0..=255).for_each(|byte| sizes[usize::from(panel_of(byte, &owner(sealed)))] += 1);
            sizes
        };
        assert_eq!(sizes(1), [128, 128, 0, 0, 0]);
        assert_eq!(sizes(2), [128, 64, 64, 0, 0]);
        assert_eq!(sizes(3), [128, 43, 43, 42, 0]);
        assert_eq!(sizes(4), [128, 32, 32, 32, 32]);
    }
}
