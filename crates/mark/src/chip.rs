//! Chips: the sign, +1 or −1, that a panel's seed gives to some of its positions.
//!
//! Implements "Chips" of docs/protocol.md. Under "the suspect has nothing to do with this seed" the chips of any fixed
//! set of positions are independent fair coins, which is what makes the test exact. Embedding and testing both come
//! through here.

use counterfoil_claim::{Dilution, PanelCount, PanelId, PublicKey, Seed};
use counterfoil_ticket::Carrier;

use crate::panels;
use crate::stream::{KeyStream, derive};

/// Panel and chip of each position of one carrier, in row-major order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChipMap {
    /// The panel: 0, or 1 to the number of sealed panels.
    pub panel: Vec<u8>,
    /// The chip, +1 or −1; 0 for positions that are not active, or whose panel's seed is not known.
    pub chip: Vec<i8>,
}

/// The chip that the seed gives to each position of the carrier, whatever the position's panel: +1, −1, or 0 if the
/// position is not active.
pub fn chips(seed: &Seed, pk: &PublicKey, carrier: &Carrier, dilution: Dilution) -> Vec<i8> {
    let mut stream = chip_stream(seed, pk, carrier);
    let mut chips = Vec::with_capacity(carrier.shape.size());
    let dilution = dilution.get();
    stream.slices(carrier.shape.size(), |bytes| chips.extend(bytes.iter().map(|&byte| chip_of(byte, dilution))));
    chips
}

/// Panel and chip of each position, under the given seeds: for a verifier those of the disclosed panels, for the owner
/// all of them.
///
/// Positions of a panel whose seed is not given have chip 0. Of two seeds for one panel the last counts.
pub fn chip_map(
    seeds: &[(PanelId, &Seed)],
    pk: &PublicKey,
    sealed: PanelCount,
    carrier: &Carrier,
    dilution: Dilution,
) -> ChipMap {
    let panel = panels(pk, sealed, carrier);
    let mut chip = vec![0; panel.len()];
    for (id, seed) in seeds {
        let (id, dilution, mut done) = (id.get(), dilution.get(), 0);
        chip_stream(seed, pk, carrier).slices(panel.len(), |bytes| {
            let there = done..done + bytes.len();
            for ((chip, &panel), &byte) in chip[there.clone()].iter_mut().zip(&panel[there]).zip(bytes) {
                let own = chip_of(byte, dilution);
                *chip = if panel == id { own } else { *chip };
            }
            done += bytes.len();
        });
    }
    ChipMap { panel, chip }
}

/// STREAM(chip_key): one byte for each position, whether the panel owns it or not.
fn chip_stream(seed: &Seed, pk: &PublicKey, carrier: &Carrier) -> KeyStream {
    KeyStream::new(&derive(seed.as_bytes(), pk.bytes(), &[b"counterfoil/v1 chips", &carrier.id()]))
}

/// The upper seven bits say whether the position is active, the lowest bit is the sign.
fn chip_of(byte: u8, dilution: u8) -> i8 {
    let sign = (byte % 2 * 2) as i8 - 1;
    if byte / 2 < 128 / dilution { sign } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_dilution_is_active_and_signs_balance_exactly() {
        for dilution in [1, 2, 4, 8] {
            let count = |sign: i8| (0..=255).filter(|&byte| chip_of(byte, dilution) == sign).count();
            assert_eq!(count(1), 128 / usize::from(dilution), "dilution {dilution}");
            assert_eq!(count(-1), 128 / usize::from(dilution), "dilution {dilution}");
        }
    }
}
