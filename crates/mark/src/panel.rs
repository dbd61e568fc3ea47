//! Panels: which independently disclosable part of the mark each position belongs to.
//!
//! Implements "Panels" of docs/protocol.md. The split is a public function of the key and of the carrier's shape and
//! ordinal, so that half of the positions are everybody's to test and the other half is shared out among the sealed
//! panels.

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
pub(crate) fn panel_of(byte: u8, sealed: u8) -> u8 {
    match byte.checked_sub(128) {
        None => 0,
        Some(rest) => 1 + (u16::from(rest) * u16::from(sealed) / 128) as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
