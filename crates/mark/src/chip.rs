//! Chips: the sign, +1 or −1, that a panel's seed gives to some of its positions.
//!
//! Implements "Chips" of docs/protocol.md. Under "the suspect has nothing to do with this seed" the chips of any fixed
//! set of positions are independent fair coins, which is what makes the test exact. Embedding and testing both come
//! through here.

use std::ops::RangeInclusive;

use counterfoil_claim::{Dilution, PanelCount, PanelId, PublicKey, Seed, Split};
use counterfoil_ticket::Carrier;
use pulp::Arch;
use zeroize::Zeroizing;

use crate::panel::{bytes_of, split_key};
use crate::panels;
use crate::stream::{KeyStream, derive};

/// Panel and chip of each position of one carrier, in row-major order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChipMap {
    /// The panel: 0, or 1 to the number of sealed panels; [`NO_PANEL`](crate::NO_PANEL) for positions of none.
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
    split: &Split,
    carrier: &Carrier,
    dilution: Dilution,
) -> ChipMap {
    let panel = panels(pk, split, carrier);
    let mut chip = vec![0; panel.len()];
    for (id, seed) in seeds {
        let mut done = 0;
        chip_stream(seed, pk, carrier).slices(panel.len(), |bytes| {
            let there = done..done + bytes.len();
            lay_chips(id.get(), dilution.get(), &panel[there.clone()], bytes, &mut chip[there]);
            done += bytes.len();
        });
    }
    ChipMap { panel, chip }
}

/// Sets the chips of the panel's own positions.
fn lay_chips(id: u8, dilution: u8, panels: &[u8], stream: &[u8], chips: &mut [i8]) {
    let last = last_active(dilution);
    Arch::new().dispatch(move || {
        for ((chip, &panel), &byte) in chips.iter_mut().zip(panels).zip(stream) {
            let own = sign_up_to(byte, last);
            *chip = if panel == id { own } else { *chip };
        }
    });
}

/// STREAM(chip_key): one byte for each position, whether the panel owns it or not.
fn chip_stream(seed: &Seed, pk: &PublicKey, carrier: &Carrier) -> KeyStream {
    KeyStream::new(&chip_key(seed, pk, carrier))
}

fn chip_key(seed: &Seed, pk: &PublicKey, carrier: &Carrier) -> Zeroizing<[u8; 32]> {
    derive(seed.as_bytes(), pk.bytes(), &[b"counterfoil/v1 chips", &carrier.id()])
}

/// The upper seven bits say whether the position is active, the lowest bit is the sign.
fn chip_of(byte: u8, dilution: u8) -> i8 {
    sign_up_to(byte, last_active(dilution))
}

/// The highest byte whose upper seven bits are below 128 / D.
const fn last_active(dilution: u8) -> u8 {
    (128 / dilution - 1) * 2 + 1
}

#[inline(always)]
fn sign_up_to(byte: u8, last: u8) -> i8 {
    let sign = (byte % 2 * 2) as i8 - 1;
    if byte <= last { sign } else { 0 }
}

/// What the given seeds say of one position, under every dilution: nothing, or its panel, its chip, and from which
/// dilution on it is not active any more. One byte, so that positions can be counted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chip(u8);

/// Dilutions halve: a position is active at all of them, at all but the highest, …, at the lowest only.
const ACTIVITIES: u8 = Dilution::ALL.len() as u8;

/// From which byte on a position is not active at each dilution but 1, where all are; see [`last_active`].
const ACTIVE_BELOW: [u8; 3] = [last_active(2) + 1, last_active(4) + 1, last_active(8) + 1];

/// Codes of one panel: activity and sign.
const PANEL_CODES: u8 = 2 * ACTIVITIES;

impl Chip {
    /// Values are below this; those of panel 0 are the lowest but [`Chip::UNKNOWN`].
    pub const CODES: usize = 1 + (PanelCount::MAX as usize + 1) * PANEL_CODES as usize;

    /// The position's panel is none whose seed was given.
    pub const UNKNOWN: Self = Self(0);

    /// The chip of a position of this panel whose byte of the panel's stream is `byte`.
    #[inline(always)]
    fn new(panel: u8, byte: u8) -> Self {
        let lost = ACTIVE_BELOW.map(|limit| u8::from(byte >= limit)).iter().sum::<u8>();
        Self(1 + panel * PANEL_CODES + 2 * lost + byte % 2)
    }

    /// Below [`Chip::CODES`].
    pub fn code(self) -> u8 {
        self.0
    }

    /// All chips of a panel that are active at this dilution, those of sign −1, then those of sign +1.
    pub fn active(panel: PanelId, dilution: Dilution) -> [Vec<Self>; 2] {
        let with_sign = |sign: u8| {
            let active = (0..=u8::MAX).filter(|byte| byte % 2 == sign && chip_of(*byte, dilution.get()) != 0);
            let mut chips: Vec<Self> = active.map(|byte| Self::new(panel.get(), byte)).collect();
            chips.dedup();
            chips
        };
        [with_sign(0), with_sign(1)]
    }
}

/// The chips of one carrier under the given seeds, for any run of its positions.
pub struct ChipReader {
    split_key: Zeroizing<[u8; 32]>,
    /// Panel, its bytes of the split and the key of its stream.
    panels: Vec<(PanelId, RangeInclusive<u8>, Zeroizing<[u8; 32]>)>,
}

impl ChipReader {
    /// For a verifier the seeds of the disclosed panels, each panel once. Those of panels that the split has not are left out.
    pub fn new(seeds: &[(PanelId, &Seed)], pk: &PublicKey, split: &Split, carrier: &Carrier) -> Self {
        let owned =
            seeds.iter().filter_map(|(id, seed)| Some((*id, bytes_of(*id, split)?, chip_key(seed, pk, carrier))));
        Self { split_key: split_key(pk, split, carrier), panels: owned.collect() }
    }

    /// The chips of the positions from `first` on, as many as there is room for.
    pub fn read(&self, first: usize, chips: &mut [Chip]) {
        let mut split = Vec::with_capacity(chips.len());
        KeyStream::from_byte(&self.split_key, first).slices(chips.len(), |bytes| split.extend_from_slice(bytes));
        chips.fill(Chip::UNKNOWN);
        for (panel, bytes, key) in &self.panels {
            let mut done = 0;
            KeyStream::from_byte(key, first).slices(chips.len(), |stream| {
                let there = done..done + stream.len();
                lay(
                    panel.get(),
                    *bytes.start(),
                    bytes.end() - bytes.start(),
                    &split[there.clone()],
                    stream,
                    &mut chips[there],
                );
                done += stream.len();
            });
        }
    }
}

/// Sets the chips of the positions whose byte of the split is one of the `more` + 1 from `least` on. Comparisons and sums of
/// bytes only, so that the compiler makes vectors of them.
fn lay(panel: u8, least: u8, more: u8, split: &[u8], stream: &[u8], chips: &mut [Chip]) {
    Arch::new().dispatch(move || {
        for ((chip, &split), &byte) in chips.iter_mut().zip(split).zip(stream) {
            let own = Chip::new(panel, byte);
            *chip = if split.wrapping_sub(least) <= more { own } else { *chip };
        }
    });
}

#[cfg(test)]
mod tests {
    use counterfoil_claim::{Marked, OwnerKey};
    use counterfoil_ticket::CarrierShape;

    use super::*;

    #[test]
    fn chips_read_by_runs_are_those_of_the_map() {
        let key = OwnerKey::from_seed(&[3; 32]);
        let (pk, master) = (key.public(), key.master_seed(&[4; 32]));
        let shape = CarrierShape { out: 16, inp: 33, height: 3, width: 3 };
        let carrier = Carrier { name: "w".to_owned(), shape, ordinal: 2 };
        let split = Split::Owner(PanelCount::new(3).expect("1 to 4"));
        let [two, three] = [2, 3].map(|panel| PanelId::new(panel).expect("0 to 4"));
        let owned = [(PanelId::PUBLIC, pk.public_seed()), (three, master.panel(three, &Marked::from_bytes([7; 32])))];
        let seeds: Vec<_> = owned.iter().map(|(panel, seed)| (*panel, seed)).collect();
        let reader = ChipReader::new(&seeds, &pk, &split, &carrier);
        for dilution in Dilution::ALL {
            let map = chip_map(&seeds, &pk, &split, &carrier, dilution);
            for range in [0..shape.size(), 100..4200, 4700..4701] {
                let mut chips = vec![Chip::UNKNOWN; range.len()];
                reader.read(range.start, &mut chips);
                for (chip, position) in chips.iter().zip(range) {
                    for panel in [PanelId::PUBLIC, two, three] {
                        let here = map.panel[position] == panel.get();
                        let [minus, plus] = Chip::active(panel, dilution).map(|chips| chips.contains(chip));
                        let expected = if here { map.chip[position] } else { 0 };
                        assert_eq!((minus, plus), (expected < 0, expected > 0), "{position}, {panel}");
                    }
                }
            }
        }
    }

    #[test]
    fn one_in_dilution_is_active_and_signs_balance_exactly() {
        for dilution in [1, 2, 4, 8] {
            let count = |sign: i8| (0..=255).filter(|&byte| chip_of(byte, dilution) == sign).count();
            assert_eq!(count(1), 128 / usize::from(dilution), "dilution {dilution}");
            assert_eq!(count(-1), 128 / usize::from(dilution), "dilution {dilution}");
        }
    }
}
