//! Swaps: dropping kept positions of chip −1 and keeping pruned ones of chip +1, without any other trace.
//!
//! A swap stays within one carrier, one panel and one output channel (a *cell*). So each carrier's sparsity, each
//! output channel's degree and each panel's n stay exactly as they were, and the panel's hits rise by one.
//!
//! What is dropped is spread over the strata of scores: of k to be dropped from N candidates, one comes from each of k
//! consecutive strata of the candidates in order of score. Dropping only the cheapest does less harm to accuracy, but
//! pruning by magnitude afterwards removes what is left of chip −1 and of chip +1 alike and the marked positions first:
//! −130 becomes −2. Within a stratum the cell is preferred that has given least for its number of candidates, so that
//! channels share the burden. What is kept instead are the best-scored pruned positions of chip +1 in the cell.

use counterfoil_ticket::{Carrier, Mask};

use crate::ChipMap;
use crate::stream::KeyStream;

/// Number of panels there can be: the public one and four sealed ones.
pub(crate) const PANELS: usize = 5;

/// One carrier of a ticket, and how to tell which of its positions matter.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Shape and ordinal.
    pub carrier: &'a Carrier,
    /// What the ticket keeps.
    pub mask: &'a Mask,
    /// How much each position matters.
    pub ranking: Ranking<'a>,
}

/// How much each position of a carrier matters, in row-major order.
#[derive(Debug, Clone, Copy)]
pub enum Ranking<'a> {
    /// The finder's scores, kept and pruned positions on one scale, higher is better.
    Scores(&'a [f32]),
    /// Weights, of which only those of kept positions are worth anything: these rank by magnitude, pruned positions in
    /// a pseudo-random order that the owner alone can repeat.
    Weights(&'a [f32]),
}

impl Ranking<'_> {
    /// The values it was made from.
    pub(crate) fn values(&self) -> &[f32] {
        match self {
            Self::Scores(values) | Self::Weights(values) => values,
        }
    }

    /// Rank of a kept position, higher is better.
    fn of_kept(&self, position: usize) -> u32 {
        match self {
            Self::Scores(scores) => ordered(scores[position]),
            Self::Weights(weights) => ordered(weights[position].abs()),
        }
    }
}

/// Maps finite values to integers in the same order, −0 as +0.
fn ordered(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

/// What one panel holds in one carrier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Holding {
    /// Kept active positions.
    pub(crate) n: u64,
    /// Those with chip +1.
    pub(crate) hits: u64,
    /// Swaps there is room for: over the cells, the smaller of kept −1 and pruned +1.
    pub(crate) room: u64,
}

/// Counts what each panel holds in one carrier.
pub(crate) fn holdings(candidate: Candidate<'_>, chips: &ChipMap) -> [Holding; PANELS] {
    let mut held = [Holding::default(); PANELS];
    for channel in channels(candidate) {
        let mut against = [0u64; PANELS];
        let mut wanted = [0u64; PANELS];
        for (position, panel, chip) in active(channel, chips) {
            match (candidate.mask.keeps(position), chip > 0) {
                (true, true) => held[panel].hits += 1,
                (true, false) => against[panel] += 1,
                (false, true) => wanted[panel] += 1,
                (false, false) => {}
            }
        }
        for (held, (against, wanted)) in held.iter_mut().zip(against.into_iter().zip(wanted)) {
            held.n += against;
            held.room += against.min(wanted);
        }
    }
    held.map(|held| Holding { n: held.n + held.hits, ..held })
}

/// The swaps made in one carrier; both lists are in ascending order and equally long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moves {
    /// Kept positions that are pruned now.
    pub dropped: Vec<usize>,
    /// Pruned positions that are kept now.
    pub added: Vec<usize>,
}

impl Moves {
    /// The mask after the swaps.
    pub(crate) fn applied_to(&self, mask: &Mask) -> Mask {
        let mut mask = mask.clone();
        self.dropped.iter().for_each(|&position| mask.set(position, false));
        self.added.iter().for_each(|&position| mask.set(position, true));
        mask
    }
}

/// Chooses the positions of so many swaps per panel in one carrier; `order` ranks pruned positions without scores.
///
/// Panics if a panel is to get more swaps than it has room for.
pub(crate) fn choose(candidate: Candidate<'_>, chips: &ChipMap, swaps: &[u64; PANELS], mut order: KeyStream) -> Moves {
    let mut moves = Moves::default();
    if swaps.iter().all(|&swaps| swaps == 0) {
        return moves;
    }
    let given: Vec<Vec<u32>> = (0..PANELS)
        .map(|panel| {
            let (dropped, given) = spread(candidates(candidate, chips, panel), swaps[panel], candidate.carrier.shape.out);
            moves.dropped.extend(dropped);
            given
        })
        .collect();

    let mut cells: [Vec<(u32, usize)>; PANELS] = Default::default();
    for (number, channel) in channels(candidate).enumerate() {
        let random: Option<Vec<u32>> = matches!(candidate.ranking, Ranking::Weights(_))
            .then(|| channel.clone().map(|_| order.word()).collect());
        for (position, panel, chip) in active(channel.clone(), chips) {
            if given[panel][number] > 0 && chip > 0 && !candidate.mask.keeps(position) {
                let rank = match &random {
                    Some(random) => random[position - channel.start],
                    None => ordered(candidate.ranking.values()[position]),
                };
                cells[panel].push((rank, position));
            }
        }
        for (cell, given) in cells.iter_mut().zip(&given) {
            moves.added.extend(best(cell, given[number] as usize));
            cell.clear();
        }
    }
    moves.dropped.sort_unstable();
    moves.added.sort_unstable();
    moves
}

/// A kept position of chip −1, in the order in which candidates are cut into strata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Droppable {
    rank: u32,
    position: usize,
    channel: u32,
}

/// What could be dropped from the panel, all at once, in order of rank.
///
/// Where a cell has fewer positions to take in than to drop, those that may be dropped are spread over its ranks.
fn candidates(candidate: Candidate<'_>, chips: &ChipMap, panel: usize) -> Vec<Droppable> {
    let mut droppable = Vec::new();
    for (number, channel) in channels(candidate).enumerate() {
        let start = droppable.len();
        let mut wanted = 0;
        for (position, of, chip) in active(channel, chips) {
            if of == panel {
                match (candidate.mask.keeps(position), chip > 0) {
                    (true, false) => droppable.push(Droppable {
                        rank: candidate.ranking.of_kept(position),
                        position,
                        channel: number as u32,
                    }),
                    (false, true) => wanted += 1,
                    _ => {}
                }
            }
        }
        let against = droppable.len() - start;
        if wanted < against {
            droppable[start..].sort_unstable();
            for i in 0..wanted {
                droppable[start + i] = droppable[start + (2 * i + 1) * against / (2 * wanted)];
            }
            droppable.truncate(start + wanted);
        }
    }
    droppable.sort_unstable();
    droppable
}

/// Takes one candidate from each of `swaps` strata; also says how many each of the channels gave.
fn spread(candidates: Vec<Droppable>, swaps: u64, channels: u32) -> (Vec<usize>, Vec<u32>) {
    let (count, swaps) = (candidates.len(), swaps as usize);
    assert!(swaps <= count, "{swaps} swaps for {count} candidates");
    let mut given = vec![0u32; channels as usize];
    let mut offered = vec![0u32; channels as usize];
    candidates.iter().for_each(|candidate| offered[candidate.channel as usize] += 1);
    let edge = |stratum: usize| (stratum as u128 * count as u128 / swaps as u128) as usize;
    let dropped = (0..swaps)
        .map(|stratum| {
            // What the channel owes: its share of all swaps, less what it has given, times the number of candidates.
            let owed = |candidate: &&Droppable| {
                let channel = candidate.channel as usize;
                i128::from(offered[channel]) * swaps as i128 - i128::from(given[channel]) * count as i128
            };
            let chosen = candidates[edge(stratum)..edge(stratum + 1)]
                .iter()
                .max_by_key(|candidate| (owed(candidate), std::cmp::Reverse(candidate.position)))
                .expect("no stratum is empty, since there are at least as many candidates as strata");
            given[chosen.channel as usize] += 1;
            chosen.position
        })
        .collect();
    (dropped, given)
}

/// The positions of the `count` highest ranks, ties to the lower position.
fn best(cell: &mut [(u32, usize)], count: usize) -> impl Iterator<Item = usize> + '_ {
    assert!(count <= cell.len(), "{count} positions of {}", cell.len());
    if 0 < count && count < cell.len() {
        cell.select_nth_unstable_by_key(count - 1, |&(rank, position)| (std::cmp::Reverse(rank), position));
    }
    cell[..count].iter().map(|&(_, position)| position)
}

/// The output channels of a carrier as ranges of flat indices.
fn channels(candidate: Candidate<'_>) -> impl Iterator<Item = std::ops::Range<usize>> {
    let row = candidate.carrier.shape.row();
    (0..candidate.carrier.shape.out as usize).map(move |channel| channel * row..(channel + 1) * row)
}

/// The active positions of a range with their panels and chips.
fn active(range: std::ops::Range<usize>, chips: &ChipMap) -> impl Iterator<Item = (usize, usize, i8)> + '_ {
    let start = range.start;
    chips.chip[range.clone()]
        .iter()
        .zip(&chips.panel[range])
        .enumerate()
        .filter(|(_, (chip, _))| **chip != 0)
        .map(move |(offset, (&chip, &panel))| (start + offset, usize::from(panel), chip))
}
