//! Chips as bits: what a carrier's chips make of any mask, at the price of a few word operations for 64 positions.
//!
//! For the reading `assigned zeros` of docs/protocol.md, which lays each of the suspect's tensors over each of a group's
//! carriers: the chips of a carrier are drawn once and then counted against many masks.

use counterfoil_claim::{Dilution, PanelId};
use counterfoil_ticket::Mask;
use pulp::Arch;
use rayon::prelude::*;

use crate::{Chip, ChipReader, Tally};

/// Positions of a run: whole words, whose planes stay in a cache while they are made.
const RUN: usize = 1 << 15;

/// Bits of a word.
const WORD: usize = usize::BITS as usize;

/// How many panels and dilutions fill the eight planes that are made at a time.
const GROUP: usize = 4;

/// For some panels and dilutions, which positions of a carrier are active and which of these have chip +1.
pub struct ChipPlanes {
    size: usize,
    /// Panels and dilutions, in the order of the tallies.
    asked: usize,
    /// For each run of positions and for each that was asked, the words of the active positions, then those of chip +1.
    runs: Vec<Vec<usize>>,
}

impl ChipPlanes {
    /// Draws the chips of a carrier of `size` positions.
    pub fn draw(reader: &ChipReader, size: usize, asked: &[(PanelId, Dilution)]) -> Self {
        let groups: Vec<[u8; Chip::CODES]> = asked.chunks(GROUP).map(planes_of).collect();
        let run = |run: usize| {
            let mut chips = vec![Chip::UNKNOWN; RUN.min(size - run * RUN)];
            reader.read(run * RUN, &mut chips);
            let planes = groups.iter().flat_map(|group| planes(&chips, group));
            planes.take(2 * asked.len()).flatten().collect()
        };
        Self { size, asked: asked.len(), runs: (0..size.div_ceil(RUN)).into_par_iter().map(run).collect() }
    }

    /// The tally of what is kept, for each panel and dilution that was asked. Panics if the mask is of another size.
    pub fn tally(&self, kept: &Mask) -> Vec<Tally> {
        assert_eq!(kept.size(), self.size, "mask and chips differ in size");
        let mut counts = vec![[0; 2]; self.asked];
        for (planes, kept) in self.runs.iter().zip(kept.words().chunks(RUN / WORD)) {
            for (count, planes) in counts.iter_mut().zip(planes.chunks(2 * kept.len())) {
                let (active, plus) = planes.split_at(kept.len());
                count[0] += common(kept, active);
                count[1] += common(kept, plus);
            }
        }
        counts.into_iter().map(|[n, hits]| Tally::new(n, hits).expect("hits are some of the active ones")).collect()
    }
}

/// For each chip, a byte whose bits say on which of eight planes it is: active and +1, for each that is asked.
fn planes_of(asked: &[(PanelId, Dilution)]) -> [u8; Chip::CODES] {
    let mut planes_of = [0; Chip::CODES];
    for (i, &(panel, dilution)) in asked.iter().enumerate() {
        let [minus, plus] = Chip::active(panel, dilution);
        minus.iter().chain(&plus).for_each(|chip| planes_of[usize::from(chip.code())] |= 1 << (2 * i));
        plus.iter().for_each(|chip| planes_of[usize::from(chip.code())] |= 2 << (2 * i));
    }
    planes_of
}

/// The words of the eight planes.
fn planes(chips: &[Chip], planes_of: &[u8; Chip::CODES]) -> [Vec<usize>; 8] {
    let mut bytes: Vec<u8> = chips.iter().map(|chip| planes_of[usize::from(chip.code())]).collect();
    bytes.resize(bytes.len().next_multiple_of(WORD), 0);
    let eights: Vec<u64> = bytes.as_chunks().0.iter().map(|&eight| transposed(u64::from_le_bytes(eight))).collect();
    std::array::from_fn(|plane| {
        let bytes: Vec<u8> = eights.iter().map(|eight| (eight >> (8 * plane)) as u8).collect();
        bytes.as_chunks().0.iter().map(|&word| usize::from_le_bytes(word)).collect()
    })
}

/// Bit j of byte i becomes bit i of byte j (Warren, Hacker's Delight, 7-3).
fn transposed(x: u64) -> u64 {
    let swap = |x: u64, distance: u32, of: u64| {
        let t = (x ^ (x >> distance)) & of;
        x ^ t ^ (t << distance)
    };
    swap(swap(swap(x, 7, 0x00aa_00aa_00aa_00aa), 14, 0x0000_cccc_0000_cccc), 28, 0x0000_0000_f0f0_f0f0)
}

/// Number of bits that are set in both.
fn common(a: &[usize], b: &[usize]) -> u64 {
    Arch::new().dispatch(|| a.iter().zip(b).map(|(a, b)| u64::from((a & b).count_ones())).sum())
}

#[cfg(test)]
mod tests {
    use counterfoil_claim::{Marked, OwnerKey, PanelCount, Split};
    use counterfoil_ticket::{Carrier, CarrierShape};

    use super::*;
    use crate::{chip_map, tally};

    #[test]
    fn planes_count_what_the_map_counts() {
        let key = OwnerKey::from_seed(&[5; 32]);
        let (pk, master) = (key.public(), key.master_seed(&[6; 32]));
        let split = Split::Owner(PanelCount::new(2).expect("1 to 4"));
        let first = PanelId::new(1).expect("0 to 4");
        let owned = [(PanelId::PUBLIC, pk.public_seed()), (first, master.panel(first, &Marked::from_bytes([7; 32])))];
        let seeds: Vec<_> = owned.iter().map(|(panel, seed)| (*panel, seed)).collect();
        let asked: Vec<_> = [PanelId::PUBLIC, first].iter().flat_map(|p| Dilution::ALL.map(|d| (*p, d))).collect();
        // more than a run, and not whole words
        for shape in [(117, 32, 3, 3), (1, 1, 1, 1), (7, 9, 1, 1)] {
            let shape = CarrierShape { out: shape.0, inp: shape.1, height: shape.2, width: shape.3 };
            let carrier = Carrier { name: "w".to_owned(), shape, ordinal: 1 };
            let kept = Mask::from_fn(shape.size(), |p| p % 7 < 3 || p % 11 == 0);
            let planes = ChipPlanes::draw(&ChipReader::new(&seeds, &pk, &split, &carrier), shape.size(), &asked);
            for (found, (panel, dilution)) in planes.tally(&kept).into_iter().zip(&asked) {
                let map = chip_map(&seeds, &pk, &split, &carrier, *dilution);
                assert_eq!(found, tally(&kept, &map, *panel), "{shape:?}, panel {panel}, {dilution:?}");
            }
        }
    }
}
