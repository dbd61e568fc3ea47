//! Licensees' copies: a mark of its own on top of the owner's, so that a copy that turns up tells whose it was.
//!
//! All licensees' marks lie on the same public positions (docs/protocol.md, "Panels"), a quarter of the owner's panel 0, and
//! every kept one of them gets chip +1 where there is room. So copies differ at about half of what they keep there, and
//! whoever merges several keeps what many of them agree on: of k copies by majority, a licensee's chips still agree with 75 %
//! of it for k = 3, 69 % for k = 5. (Marks at positions that differ from copy to copy would all be outvoted: at each, two of
//! three copies have what the base had.) The owner's sealed panels stay as they are. What is taken in never has the
//! owner's public chip −1, so that panel 0 does not get weaker either.
//!
//! The idea that codes of several copies must overlap to survive their merging: Boneh and Shaw, *Collusion-secure
//! fingerprinting for digital data*, 1998. Random chips on common positions are a bias-1/2 code in the manner of Tardos 2003.

use counterfoil_claim::{Dilution, Marked, MasterSeed, PanelCount, PanelId, PublicKey, Split};
use counterfoil_ticket::{Carrier, Digest, Mask};

use crate::allot::{Allotment, Budget, Counts};
use crate::plan::{Owner, StampOption, planned};
use crate::{Candidate, Chance, Log2P, Plan, StampError, SwapSettings, Tally, chip_map, log2_upper_tail, tally};

/// What the owner's public panel has to show before a licensee's mark goes on top of it.
const OWNERS_LEAST: f64 = -20.0;

/// Context of the master seed of a licensee's copy (docs/protocol.md, "Seeds").
pub(crate) fn context(ticket: &Digest, licensee: &str) -> [u8; 32] {
    *Digest::of([b"counterfoil/v1 licensee copy".as_slice(), ticket.as_bytes(), licensee.as_bytes()]).as_bytes()
}

/// Plans the swaps of a licensee's copy: all that there is room for, up to `settings.most_moved` of the kept positions.
pub(crate) fn plan_licensee(
    ticket: &[Candidate<'_>],
    pk: &PublicKey,
    master: &MasterSeed,
    name: &str,
    settings: &SwapSettings,
) -> Result<Plan, StampError> {
    let marked = Marked::by_swaps(ticket.iter().map(|c| (c.carrier, c.mask.kept() as u64))).for_licensee(name);
    planned(ticket, &Owner { pk, master, marked }, settings, saturated)
}

/// As many swaps of the sealed panel as there is room for.
fn saturated(
    ticket: &[Candidate<'_>],
    owner: &Owner<'_>,
    settings: &SwapSettings,
    kept: u64,
    budget: Budget,
) -> Result<StampOption, StampError> {
    let saturate = |counts: &[Counts]| {
        let moved = counts[1].room.min(budget.most);
        let strength = counts[1].strength(moved);
        let allotment = Allotment { swaps: vec![0, moved], moved, weaker_half: strength, reaches_goal: false };
        (strength <= settings.target).then_some(allotment).ok_or(strength)
    };
    let too_small = |could: Log2P| {
        // Where every position has chip +1, log2 p is a fixed share of the kept positions.
        let needed = (kept as f64 * settings.target.bits() / could.bits()).ceil();
        let needed = needed.is_finite().then_some(needed as u64);
        StampError::TooSmall { kept, moves: budget.most, could, target: settings.target, needed }
    };
    StampOption::at(ticket, owner, (Split::Licensee, Dilution::ALL[0]), saturate).map_err(too_small)
}

/// Positions that are to stay as they are besides those held already: pruned ones of the owner's public chip −1.
pub(crate) fn held(pk: &PublicKey, carrier: &Carrier, mask: &Mask, held: Option<&Mask>) -> Mask {
    let chips = owners_public(pk, carrier, Dilution::ALL[0]);
    let against = |position: usize| !mask.keeps(position) && chips.chip[position] < 0;
    Mask::from_fn(mask.size(), |position| against(position) || held.is_some_and(|held| held.keeps(position)))
}

/// log2 p of the owner's public panel, under the dilution at which it is strongest, if that is enough to be the key's mark.
pub(crate) fn owners_mark(pk: &PublicKey, ticket: &[Candidate<'_>]) -> Result<(), Log2P> {
    let of = |dilution| {
        let tallies = ticket.iter().map(|c| tally(c.mask, &owners_public(pk, c.carrier, dilution), PanelId::PUBLIC));
        log2_upper_tail(tallies.sum::<Tally>(), Chance::HALF)
    };
    let found = Dilution::ALL.map(of).into_iter().fold(Log2P::ONE, |best, p| if p < best { p } else { best });
    if found.bits() <= OWNERS_LEAST { Ok(()) } else { Err(found) }
}

fn owners_public(pk: &PublicKey, carrier: &Carrier, dilution: Dilution) -> crate::ChipMap {
    // Which positions are panel 0's does not depend on the number of sealed panels.
    let split = Split::Owner(PanelCount::new(1).expect("one sealed panel is allowed"));
    chip_map(&[(PanelId::PUBLIC, &pk.public_seed())], pk, split, carrier, dilution)
}
