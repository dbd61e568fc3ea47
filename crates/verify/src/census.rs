//! Censuses: the positions of one carrier, counted once by what was read of them and by their chip.
//!
//! Whatever `zeros` asks of a carrier (any panel, any dilution) is a sum over this small table, and so is whatever the
//! readings by rank ask: positions are gone through twice at most, however many ways of looking are paid for. Threads share
//! the carrier by runs of rows; the counts are integers, so their number changes nothing.

use std::iter::Sum;
use std::ops::{AddAssign, Range};

use counterfoil_claim::{Dilution, PanelId};
use counterfoil_mark::{Chip, ChipReader, Cut, RankRoom, Tally, Turn, runs_of_rows};
use counterfoil_ticket::{CarrierShape, Mask, ReadError, Values};
use rayon::prelude::*;

/// Classes, rounded up to a power of two: an index that is masked needs no check.
const CLASSES: usize = 8;

/// Chip codes, likewise.
const CODES: usize = Chip::CODES.next_power_of_two();

/// How many positions have each chip.
#[derive(Debug, Clone)]
pub(crate) struct ChipCounts([u64; CODES]);

impl Default for ChipCounts {
    fn default() -> Self {
        Self([0; CODES])
    }
}

impl ChipCounts {
    /// Active positions of a panel, and those of them with chip +1.
    pub(crate) fn tally(&self, panel: PanelId, dilution: Dilution) -> Tally {
        let sum = |chips: &[Chip]| chips.iter().map(|chip| self.0[usize::from(chip.code())]).sum::<u64>();
        let [minus, plus] = Chip::active(panel, dilution).map(|chips| sum(&chips));
        Tally::new(minus + plus, plus).expect("hits are some of all")
    }

    /// All positions, whatever their chip.
    pub(crate) fn positions(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl AddAssign<&Self> for ChipCounts {
    fn add_assign(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a += b);
    }
}

impl<'a> Sum<&'a Self> for ChipCounts {
    fn sum<I: Iterator<Item = &'a Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |mut sum, counts| {
            sum += counts;
            sum
        })
    }
}

/// The positions of a carrier, by class. What is kept at a class is kept at all above it. On the heap, for threads hand
/// several of them from one stack frame to the next.
#[derive(Debug, Clone, Default)]
pub(crate) struct Census(Box<[ChipCounts; CLASSES]>);

impl AddAssign<&Self> for Census {
    fn add_assign(&mut self, other: &Self) {
        self.0.iter_mut().zip(&*other.0).for_each(|(a, b)| *a += b);
    }
}

/// Room for one run.
#[derive(Default)]
struct Room {
    values: Vec<f32>,
    ranks: RankRoom,
    classes: Vec<u8>,
    chips: Vec<Chip>,
}

impl Census {
    /// Class 1: positions that the mask keeps or, without one, whose value is not zero; class 0: the others.
    pub(crate) fn of_zeros(
        values: &Values,
        mask: Option<&Mask>,
        shape: CarrierShape,
        chips: &ChipReader,
    ) -> Result<Self, ReadError> {
        Self::take(shape, chips, |rows, Room { values: room, classes, .. }| {
            let positions = rows.start * shape.row()..rows.end * shape.row();
            let values = values.part(positions.clone(), room)?; // with a mask too: what is no number is refused
            match mask {
                Some(mask) => classes.extend(positions.map(|position| u8::from(mask.keeps(position)))),
                None => classes.extend(values.iter().map(|value| u8::from(*value != 0.0))),
            }
            Ok(())
        })
    }

    /// The class of a position is the number of cuts that keep it.
    pub(crate) fn of_cuts(
        balanced: &counterfoil_mark::Balanced,
        cuts: &[Cut],
        shape: CarrierShape,
        chips: &ChipReader,
    ) -> Result<Self, ReadError> {
        assert!(cuts.len() < CLASSES, "{} cuts make too many classes", cuts.len());
        Self::take(shape, chips, |rows, Room { ranks: room, classes, .. }| {
            let first = rows.start * shape.row();
            let ranks = balanced.ranks(rows, room)?;
            classes.resize(ranks.len(), 0);
            cuts.iter().for_each(|cut| cut.count(first, ranks, classes));
            Ok(())
        })
    }

    fn take(
        shape: CarrierShape,
        chips: &ChipReader,
        classify: impl Fn(Range<usize>, &mut Room) -> Result<(), ReadError> + Sync,
    ) -> Result<Self, ReadError> {
        let start = || (Room::default(), Self::default());
        let runs = runs_of_rows(shape).try_fold(start, |(mut room, mut census), rows| {
            let first = rows.start * shape.row();
            room.classes.clear();
            classify(rows, &mut room)?;
            room.chips.resize(room.classes.len(), Chip::UNKNOWN);
            chips.read(first, &mut room.chips);
            census.count(&room.classes, &room.chips);
            Ok((room, census))
        });
        runs.map(|run| run.map(|(_, census)| census)).try_reduce(Self::default, |mut a, b| {
            a += &b;
            Ok(a)
        })
    }

    fn count(&mut self, classes: &[u8], chips: &[Chip]) {
        // Two tables, so that a count need not wait for the one before it.
        let mut tables = [[[0u32; CODES]; CLASSES]; 2];
        for (classes, chips) in classes.chunks(2).zip(chips.chunks(2)) {
            for (table, (class, chip)) in tables.iter_mut().zip(classes.iter().zip(chips)) {
                table[usize::from(*class) % CLASSES][usize::from(chip.code()) % CODES] += 1;
            }
        }
        for table in tables {
            for (counts, counted) in self.0.iter_mut().zip(table) {
                counts.0.iter_mut().zip(counted).for_each(|(sum, n)| *sum += u64::from(n));
            }
        }
    }

    /// All positions of this class and those above it.
    pub(crate) fn at_least(&self, class: usize) -> ChipCounts {
        self.0[class..].iter().sum()
    }

    /// Number of positions of one class.
    pub(crate) fn positions(&self, class: usize) -> u64 {
        self.0[class].positions()
    }
}

/// Chips of the positions that a mask keeps, for each turn of its kernels. The chips are drawn once for all of them.
pub(crate) fn census_of_turns(kept: &Mask, shape: CarrierShape, chips: &ChipReader) -> [ChipCounts; Turn::ALL.len()] {
    let taps = Turn::ALL.map(|turn| turn.taps([shape.height as usize, shape.width as usize]));
    let start = || (Room::default(), Turn::ALL.map(|_| Census::default()));
    let runs = runs_of_rows(shape).fold(start, |(mut room, mut censuses), rows| {
        let positions = rows.start * shape.row()..rows.end * shape.row();
        room.chips.resize(positions.len(), Chip::UNKNOWN);
        chips.read(positions.start, &mut room.chips);
        for (census, taps) in censuses.iter_mut().zip(&taps) {
            room.classes.clear();
            for kernel in positions.clone().step_by(taps.len()) {
                room.classes.extend(taps.iter().map(|tap| u8::from(kept.keeps(kernel + tap))));
            }
            census.count(&room.classes, &room.chips);
        }
        (room, censuses)
    });
    let censuses = runs.map(|(_, censuses)| censuses).reduce(
        || Turn::ALL.map(|_| Census::default()),
        |mut a, b| {
            a.iter_mut().zip(&b).for_each(|(a, b)| *a += b);
            a
        },
    );
    censuses.map(|census| census.at_least(1))
}

#[cfg(test)]
mod tests {
    use counterfoil_claim::{OwnerKey, PanelCount, Split};
    use counterfoil_ticket::Carrier;

    use super::*;

    #[test]
    fn many_runs_of_rows_fit_a_small_stack() {
        let shape = CarrierShape { out: 2048, inp: 64, height: 3, width: 3 };
        let carrier = Carrier { name: "w".to_owned(), shape, ordinal: 0 };
        let key = OwnerKey::from_seed(&[1; 32]).public();
        let seed = key.public_seed();
        let split = Split::Owner(PanelCount::new(1).unwrap());
        let chips = ChipReader::new(&[(PanelId::PUBLIC, &seed)], &key, &split, &carrier);
        let kept = Mask::from_fn(shape.size(), |p| p % 3 == 0);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).stack_size(256 << 10).build().unwrap();
        let turns = pool.install(|| census_of_turns(&kept, shape, &chips));
        assert!(turns.iter().all(|counts| counts.positions() == kept.kept() as u64));
    }
}
