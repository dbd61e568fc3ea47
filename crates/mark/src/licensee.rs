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
//! What is taken in never has the owner's chip −1, so that the owner's panels do not pay for it. Beyond that it is chosen in an
//! order of the copy's own: what one copy takes in, others seldom do, and who keeps what any copy has, or what few have, keeps
//! something of each. (Chosen by the owner's chips +1 first, it was much the same in all copies.)

use counterfoil_claim::{Counterfoil, Dilution, Licence, Marked, MasterSeed, PublicKey, Split};
use counterfoil_ticket::{Carrier, Mask};

use crate::allot::{Allotment, Budget, Counts};
use crate::plan::{Owner, StampOption, planned};
use crate::{Candidate, Log2P, Plan, StampError, SwapSettings, chip_map};

/// Plans the swaps of a licensee's copy: all that there is room for, up to `settings.most_moved` of the kept positions.
pub(crate) fn plan_licensee(
    ticket: &[Candidate<'_>],
    pk: &PublicKey,
    master: &MasterSeed,
    licence: &Licence,
    settings: &SwapSettings,
) -> Result<Plan, StampError> {
    let marked = Marked::by_stamping(ticket.iter().map(|c| (c.carrier, c.mask.kept() as u64)));
    let owner = Owner { pk, master, marked: marked.for_licensee(&licence.stated()), quotas: None };
    let split = Split::Licensee(licence.positions.clone());
    settings.check(ticket)?;
    planned(ticket, &owner, settings, |ticket, owner, _, kept, budget| saturated(ticket, owner, split, kept, budget))
}

/// As many swaps of the sealed panel as there is room for.
fn saturated(
    ticket: &[Candidate<'_>],
    owner: &Owner<'_>,
    split: Split,
    kept: u64,
    budget: Budget,
) -> Result<StampOption, StampError> {
    let saturate = |counts: &[Counts]| {
        let moved = counts[1].room.min(budget.most);
        let strength = counts[1].strength(moved);
        let allotment = Allotment { moves: vec![0, moved], moved, weaker_half: strength, reaches_goal: false };
        // Whole channels leave no room to bring every kept position to chip +1.
        let is_cramped = counts[1].room < counts[1].n - counts[1].hits;
        (strength <= budget.target).then_some(allotment).ok_or((strength, is_cramped))
    };
    let too_small = |(could, is_cramped): (Log2P, bool)| {
        // Where every position has chip +1, log2 p is a fixed share of the kept positions.
        let needed = (kept as f64 * budget.target.bits() / could.bits()).ceil();
        let needed = (!is_cramped && needed.is_finite()).then_some(needed as u64);
        StampError::TooSmall { kept, moves: budget.most, could, target: budget.target, needed }
    };
    StampOption::at(ticket, owner, (split, Dilution::ALL[0]), saturate).map_err(too_small)
}

/// Positions that are to stay as they are besides those held already: pruned ones of the owner's chip −1.
pub(crate) fn held(owner: &Counterfoil, carrier: &Carrier, mask: &Mask, held: Option<&Mask>) -> Mask {
    let seeds = owner.seeds();
    let seeds: Vec<_> = seeds.iter().map(|(panel, seed)| (*panel, seed)).collect();
    let chips = chip_map(&seeds, owner.public_key(), &owner.split(), carrier, owner.dilution());
    let against = |position: usize| !mask.keeps(position) && chips.chip[position] < 0;
    Mask::from_fn(mask.size(), |position| against(position) || held.is_some_and(|held| held.keeps(position)))
}
