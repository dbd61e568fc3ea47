//! Licensees' copies: a mark of its own on top of the owner's, so that a copy that turns up tells whose it was.
//!
//! All licensees' marks of a ticket lie on the same positions, an eighth of all (docs/protocol.md, "Licensees"), and every
//! kept one of them gets chip +1 where there is room. So copies differ at about half of what they keep there, and whoever
//! merges several keeps what many of them agree on: of k copies by majority, a licensee's chips agree with 75 % of it for
//! k = 3, 69 % for k = 5. (Marks at positions that differ from copy to copy would all be outvoted: at each, two of
//! three copies have what the base had.) Where the positions are is secret: who has one copy alone cannot aim at them, and who
//! has several sees only those at which they differ, which is the assumption under which codes against collusion exist (Boneh
//! and Shaw, *Collusion-secure fingerprinting for digital data*, 1998). Random chips, alike for all positions, are the
//! simplest such code (Tardos, *Optimal probabilistic fingerprint codes*, 2003, draws their bias as well).
//!
//! What is taken in never has the owner's chip −1, and has chip +1 where it can, so that the owner's panels do not pay for it.

use counterfoil_claim::{Counterfoil, Dilution, Licence, Marked, MasterSeed, PublicKey, Split};
use counterfoil_ticket::{Carrier, Mask};

use crate::allot::{Allotment, Budget, Counts};
use crate::plan::{Owner, StampOption, planned};
use crate::stream::{KeyStream, derive};
use crate::{Candidate, Log2P, Plan, StampError, SwapSettings, chip_map};

/// Plans the swaps of a licensee's copy: all that there is room for, up to `settings.most_moved` of the kept positions.
pub(crate) fn plan_licensee(
    ticket: &[Candidate<'_>],
    pk: &PublicKey,
    master: &MasterSeed,
    licence: &Licence,
    settings: &SwapSettings,
) -> Result<Plan, StampError> {
    let marked = Marked::by_swaps(ticket.iter().map(|c| (c.carrier, c.mask.kept() as u64)));
    let owner = Owner { pk, master, marked: marked.for_licensee(&licence.stated()) };
    let split = Split::Licensee(licence.positions.clone());
    planned(ticket, &owner, settings, |ticket, owner, settings, kept, budget| {
        saturated(ticket, owner, (split, settings.target), kept, budget)
    })
}

/// As many swaps of the sealed panel as there is room for.
fn saturated(
    ticket: &[Candidate<'_>],
    owner: &Owner<'_>,
    (split, target): (Split, Log2P),
    kept: u64,
    budget: Budget,
) -> Result<StampOption, StampError> {
    let saturate = |counts: &[Counts]| {
        let moved = counts[1].room.min(budget.most);
        let strength = counts[1].strength(moved);
        let allotment = Allotment { swaps: vec![0, moved], moved, weaker_half: strength, reaches_goal: false };
        (strength <= target).then_some(allotment).ok_or(strength)
    };
    let too_small = |could: Log2P| {
        // Where every position has chip +1, log2 p is a fixed share of the kept positions.
        let needed = (kept as f64 * target.bits() / could.bits()).ceil();
        let needed = needed.is_finite().then_some(needed as u64);
        StampError::TooSmall { kept, moves: budget.most, could, target, needed }
    };
    StampOption::at(ticket, owner, (split, Dilution::ALL[0]), saturate).map_err(too_small)
}

/// What the owner's mark asks of the swaps in one carrier.
pub(crate) struct Preference {
    /// Positions that are to stay as they are: pruned ones of the owner's chip −1, and those held for other reasons.
    pub(crate) held: Mask,
    /// Of kept positions the magnitudes; of pruned ones random numbers, in which those of the owner's chip +1 come first.
    pub(crate) scores: Vec<f32>,
}

impl Preference {
    /// The order of pruned positions is the licensee's own, from its master seed: what one copy takes in, others seldom do, and
    /// whoever keeps what any copy has, or what few have, keeps something of each.
    pub(crate) fn new(
        (owner, master): (&Counterfoil, &MasterSeed),
        carrier: &Carrier,
        mask: &Mask,
        weights: &[f32],
        held: Option<&Mask>,
    ) -> Self {
        let seeds = owner.seeds();
        let seeds: Vec<_> = seeds.iter().map(|(panel, seed)| (*panel, seed)).collect();
        let chips = chip_map(&seeds, owner.public_key(), &owner.split(), carrier, owner.dilution()).chip;
        let info: [&[u8]; 2] = [b"swap order", &carrier.id()];
        let mut order = KeyStream::new(&derive(master.as_bytes(), b"counterfoil/v1", &info));
        let score = |position: usize| {
            let random = order.word() as f32 / u32::MAX as f32;
            if mask.keeps(position) { weights[position].abs() } else { random + f32::from(chips[position]) }
        };
        let scores = (0..mask.size()).map(score).collect();
        let against = |position: usize| !mask.keeps(position) && chips[position] < 0;
        let held = Mask::from_fn(mask.size(), |p| against(p) || held.is_some_and(|held| held.keeps(p)));
        Self { held, scores }
    }
}
