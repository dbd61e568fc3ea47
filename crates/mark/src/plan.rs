//! Planning the swaps that stamp a ticket found elsewhere (or top up one found under the key), and thinning.
//!
//! Chips make a kept position count for the mark or against it; log2 p ≈ −2.885 · excess² / n. With n = m / D active
//! ones of m kept positions (docs/protocol.md, "Chips"), the same number of swaps gives D times the evidence, until every
//! kept active position has chip +1 and log2 p = −n. So D is chosen for the ticket, and P with it, unless the caller has:
//!
//! 1. for each D, P is the largest number of sealed panels such that every panel reaches the target within the
//!    comfortable number of moves;
//! 2. of these D, the smallest whose halves both reach the goal: more active positions give unequal decay more to hold on
//!    to, and leave more to count after heavy pruning;
//! 3. if none does, the one whose weaker half ends up strongest: attacks that know nothing of the chips take the same
//!    share of log2 p whatever D is, so the strongest to start with is the strongest that is left;
//! 4. if no D reaches the target comfortably, the D and P that need fewest moves, never more than the limit.
//!
//! A ticket of whole channels has nothing pruned in the channels that it keeps, so nothing to exchange. Where swaps
//! cannot reach the target, [`plan_thinned`] may: see `thin.rs`.
//!
//! A ticket found under the key has been worked on at all its positions, for the number of panels that was asked for:
//! [`plan_found`] changes as little of that as it can. It gives up dilution before it gives up a panel.
//!
//! Every step is deterministic: same ticket, same key, same plan.

use counterfoil_claim::{Dilution, Marked, MasterSeed, PanelCount, PanelId, PublicKey, Seed, Split};
use counterfoil_ticket::{Carrier, Mask};
use rayon::prelude::*;

use crate::allot::{Allotment, Budget, Counts, allot, allotted, kept_needed, proportional, within_reach};
use crate::stream::{KeyStream, derive};
use crate::swap::{self, Holding, Moves, PANELS, Way, holdings};
use crate::thin;
use crate::{Candidate, ChipMap, Log2P, StampError, SwapSettings, Tally, chip_map, strength_for_turnover};

/// The moves of a ticket, and what they achieve.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What a move is.
    pub way: Way,
    /// Number of sealed panels.
    pub sealed: PanelCount,
    /// One in how many positions is active.
    pub dilution: Dilution,
    /// The public panel, then the sealed ones.
    pub panels: Vec<PanelPlan>,
    /// Number of moves, over all panels; with thinning also of positions without a chip that were dropped.
    pub moved: u64,
    /// Kept positions of all carriers, before.
    pub kept: u64,
    /// What changes in each carrier, in the order given.
    pub carriers: Vec<CarrierPlan>,
}

impl Plan {
    /// Share of the kept positions that move, 0 to 1.
    pub fn moved_share(&self) -> f64 {
        if self.kept == 0 { 0.0 } else { self.moved as f64 / self.kept as f64 }
    }

    /// Kept positions of all carriers, after: thinning leaves fewer.
    pub fn kept_after(&self) -> u64 {
        match self.way {
            Way::Swap => self.kept,
            Way::Thin => self.kept - self.moved,
        }
    }

    /// The sealed half: all sealed panels pooled, after the moves.
    pub fn sealed_after(&self) -> Tally {
        self.panels.iter().filter(|panel| !panel.panel.is_public()).map(|panel| panel.after).sum()
    }
}

/// One panel before and after.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PanelPlan {
    /// Which.
    pub panel: PanelId,
    /// Kept active positions, and those with chip +1, before.
    pub before: Tally,
    /// The same after: `moves` hits more, or with thinning so many positions fewer.
    pub after: Tally,
    /// log2 p before.
    pub strength_before: Log2P,
    /// log2 p after.
    pub strength_after: Log2P,
    /// Number of moves.
    pub moves: u64,
}

/// One carrier after the moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarrierPlan {
    /// Which positions go and which come.
    pub moves: Moves,
    /// The new mask.
    pub mask: Mask,
}

/// Plans the swaps that bring every panel of the ticket to the target, and both halves as far toward the goal as is
/// comfortable. A ticket that is strong enough as it is gets a plan without swaps.
pub fn plan(
    ticket: &[Candidate<'_>],
    pk: &PublicKey,
    master: &MasterSeed,
    settings: &SwapSettings,
) -> Result<Plan, StampError> {
    let marked = Marked::by_stamping(ticket.iter().map(|c| (c.carrier, c.mask.kept() as u64)));
    swapped(ticket, &Owner { pk, master, marked, quotas: None }, settings, choose_option)
}

fn swapped(
    ticket: &[Candidate<'_>],
    owner: &Owner<'_>,
    settings: &SwapSettings,
    choose: Choose,
) -> Result<Plan, StampError> {
    settings.check(ticket)?;
    planned(ticket, owner, settings, choose).map_err(|missed| missed.refusal())
}

/// Plans to thin a ticket: every carrier drops the same share of what it keeps, the first of six from the comfortable
/// one to the limit at which every panel reaches the target.
///
/// How much is kept then enters the seeds: each share has chips of its own, as if the key were another.
pub fn plan_thinned(
    ticket: &[Candidate<'_>],
    pk: &PublicKey,
    master: &MasterSeed,
    settings: &SwapSettings,
) -> Result<Plan, StampError> {
    thinned(ticket, pk, master, settings, choose_option)
}

/// The same for a ticket found under the key, with at most as many sealed panels as were asked for. Of what the search
/// put in only the public panel is left.
pub fn plan_found_thinned(
    ticket: &[Candidate<'_>],
    pk: &PublicKey,
    master: &MasterSeed,
    settings: &SwapSettings,
) -> Result<Plan, StampError> {
    let comfort_moved = SwapSettings::default().comfort_moved.min(settings.most_moved);
    thinned(ticket, pk, master, &SwapSettings { comfort_moved, ..*settings }, first_option)
}

/// Shares that are tried.
const SHARES: u8 = 6;

fn thinned(
    ticket: &[Candidate<'_>],
    pk: &PublicKey,
    master: &MasterSeed,
    settings: &SwapSettings,
    choose: Choose,
) -> Result<Plan, StampError> {
    settings.check(ticket)?;
    let step = (settings.most_moved - settings.comfort_moved) / f64::from(SHARES - 1);
    let mut shares: Vec<f64> = (0..SHARES).map(|i| settings.comfort_moved + step * f64::from(i)).collect();
    shares.dedup();
    let mut strongest: Option<Box<Missed>> = None;
    for share in shares {
        let quotas = thin::quotas(ticket, share);
        let kept = ticket.iter().zip(&quotas).map(|(c, quota)| (c.carrier, c.mask.kept() as u64 - quota));
        let marked = Marked::by_stamping(kept);
        match planned(ticket, &Owner { pk, master, marked, quotas: Some(quotas) }, settings, choose) {
            Ok(plan) => return Ok(plan),
            Err(missed) if strongest.as_ref().is_some_and(|other| other.reach.strongest <= missed.reach.strongest) => {}
            Err(missed) => strongest = Some(missed),
        }
    }
    Err(strongest.expect("at least one share is tried").refusal())
}

/// Plans what a ticket found under the key still needs. Of the layouts with at most `settings.sealed` sealed panels and at
/// least the dilution `settings.dilution`, takes the first that brings every panel to the target: most sealed panels
/// first, then least dilution.
///
/// Under another dilution a position's chip stays what it was, so what the search has achieved stays; under another
/// number of panels, positions of the sealed half change panels and so chips, and only swaps make up for that.
pub fn plan_found(
    ticket: &[Candidate<'_>],
    pk: &PublicKey,
    master: &MasterSeed,
    settings: &SwapSettings,
) -> Result<Plan, StampError> {
    let marked = Marked::by_finding(ticket.iter().map(|candidate| candidate.carrier));
    swapped(ticket, &Owner { pk, master, marked, quotas: None }, settings, first_option)
}

/// How a layout is chosen.
type Choose = fn(&[Candidate<'_>], &Owner<'_>, &SwapSettings, u64, Budget) -> Result<StampOption, Box<Missed>>;

/// Chooses a layout and its moves, and carries the choice out. The settings are checked.
pub(crate) fn planned<E>(
    ticket: &[Candidate<'_>],
    owner: &Owner<'_>,
    settings: &SwapSettings,
    choose: impl FnOnce(&[Candidate<'_>], &Owner<'_>, &SwapSettings, u64, Budget) -> Result<StampOption, E>,
) -> Result<Plan, E> {
    let kept = ticket.iter().map(|candidate| candidate.mask.kept() as u64).sum::<u64>();
    let quota = owner.quotas.as_ref().map(|quotas| quotas.iter().sum());
    let budget = Budget {
        target: settings.target,
        goal: strength_for_turnover(settings.comfort_tolerance, settings.threshold)
            .expect("the tolerance is checked to be from 0 to below 1"),
        comfort: quota.unwrap_or_else(|| share_of(kept, settings.comfort_moved)),
        most: quota.unwrap_or_else(|| share_of(kept, settings.most_moved)),
    };
    let option = choose(ticket, owner, settings, kept, budget)?;

    let sealed = option.split.sealed();
    let panels = (sealed.all().zip(&option.counts).zip(&option.allotment.moves))
        .map(|((panel, &counts), &moves)| PanelPlan {
            panel,
            before: counts.tally(0),
            after: counts.tally(moves),
            strength_before: counts.strength(0),
            strength_after: counts.strength(moves),
            moves,
        })
        .collect();
    Ok(Plan {
        way: owner.way(),
        sealed,
        dilution: option.dilution,
        panels,
        moved: option.allotment.moved,
        kept,
        carriers: carry_out(ticket, owner, &option),
    })
}

/// Whose chips they are, and how positions move toward them.
pub(crate) struct Owner<'a> {
    pub(crate) pk: &'a PublicKey,
    pub(crate) master: &'a MasterSeed,
    pub(crate) marked: Marked,
    /// How many positions each carrier drops, if they are not swapped.
    pub(crate) quotas: Option<Vec<u64>>,
}

impl Owner<'_> {
    fn way(&self) -> Way {
        if self.quotas.is_some() { Way::Thin } else { Way::Swap }
    }

    fn chips(&self, carrier: &Carrier, split: &Split, dilution: Dilution) -> ChipMap {
        let seeds = self.master.panels(self.pk, split.sealed(), &self.marked);
        let seeds: Vec<(PanelId, &Seed)> = seeds.iter().map(|(panel, seed)| (*panel, seed)).collect();
        chip_map(&seeds, self.pk, split, carrier, dilution)
    }

    /// Order of pruned positions without scores. From the master seed, not from a panel's: otherwise whoever knows the
    /// panel could tell which positions were taken in.
    fn order(&self, carrier: &Carrier) -> KeyStream {
        KeyStream::new(&derive(self.master.as_bytes(), b"counterfoil/v1", &[b"swap order", &carrier.id()]))
    }
}

/// A choice of layout, and what it comes to.
pub(crate) struct StampOption {
    split: Split,
    dilution: Dilution,
    /// Per panel, over all carriers.
    counts: Vec<Counts>,
    allotment: Allotment,
    /// Moves per carrier, per panel.
    moves: Vec<[u64; PANELS]>,
}

impl StampOption {
    /// Whether so many sealed panels cannot reach the target, whatever the chips: the smallest panel has at most a share
    /// of 1 / (P + 1) of the kept positions, and log2 p is never below −n.
    fn is_hopeless(sealed: PanelCount, kept: u64, target: Log2P) -> bool {
        let most = kept / (u64::from(sealed.get()) + 1);
        target.bits() < -(most as f64)
    }

    /// What one layout comes to, if its counts allow an allotment of swaps.
    pub(crate) fn at<E>(
        ticket: &[Candidate<'_>],
        owner: &Owner<'_>,
        (split, dilution): (Split, Dilution),
        allot: impl FnOnce(&[Counts]) -> Result<Allotment, E>,
    ) -> Result<Self, E> {
        let held: Vec<_> = (ticket.par_iter())
            .map(|&candidate| holdings(candidate, &owner.chips(candidate.carrier, &split, dilution), Way::Swap))
            .collect();
        let counts = pooled(&held, split.sealed(), Way::Swap);
        let allotment = allot(&counts)?;
        let moves = shared_out(&held, &allotment);
        Ok(Self { split, dilution, counts, allotment, moves })
    }

    /// What a layout of an owner's mark comes to; `None` if it misses the target, and then what it would reach is noted.
    fn toward(
        ticket: &[Candidate<'_>],
        owner: &Owner<'_>,
        (sealed, dilution): (PanelCount, Dilution),
        budget: Budget,
        reach: &mut Reach,
    ) -> Option<Self> {
        let layout = (Split::Owner(sealed), dilution);
        match &owner.quotas {
            Some(quotas) => Self::thinned(ticket, owner, layout, quotas, budget, reach),
            None => {
                let allot = |counts: &[Counts]| allot(counts, budget).ok_or_else(|| reach.note(counts, budget.most));
                Self::at(ticket, owner, layout, allot).ok()
            }
        }
    }

    fn thinned(
        ticket: &[Candidate<'_>],
        owner: &Owner<'_>,
        (split, dilution): (Split, Dilution),
        quotas: &[u64],
        budget: Budget,
        reach: &mut Reach,
    ) -> Option<Self> {
        let (held, idle): (Vec<_>, Vec<_>) = (ticket.par_iter())
            .map(|&candidate| {
                let chips = owner.chips(candidate.carrier, &split, dilution);
                (holdings(candidate, &chips, Way::Thin), thin::idle(candidate, &chips))
            })
            .unzip();
        let counts = pooled(&held, split.sealed(), Way::Thin);
        let shared = thin::shared_out(&counts, &held, &idle, quotas).and_then(|moves| {
            let total = |panel: usize| moves.iter().map(|moves| moves[panel]).sum();
            let allotment = allotted(&counts, (0..counts.len()).map(total).collect(), budget.most, budget)?;
            Some((moves, allotment))
        });
        let Some((moves, allotment)) = shared else {
            reach.note(&counts, budget.most);
            return None;
        };
        Some(Self { split, dilution, counts, allotment, moves })
    }
}

/// Chooses D and P by the rule of the module's documentation.
fn choose_option(
    ticket: &[Candidate<'_>],
    owner: &Owner<'_>,
    settings: &SwapSettings,
    kept: u64,
    budget: Budget,
) -> Result<StampOption, Box<Missed>> {
    let dilutions = settings.dilution.map_or(Dilution::ALL.to_vec(), |dilution| vec![dilution]);
    let sealed = settings.sealed.map_or_else(|| up_to(PanelCount::MAX, kept, budget.target), |p| vec![p]);

    let mut strongest: Option<StampOption> = None;
    let mut cheapest: Option<StampOption> = None;
    let mut reach = Reach::new(owner.way());
    for &dilution in &dilutions {
        for &sealed in &sealed {
            let Some(option) = StampOption::toward(ticket, owner, (sealed, dilution), budget, &mut reach) else {
                continue;
            };
            if option.allotment.reaches_goal && option.allotment.moved <= budget.comfort {
                return Ok(option);
            }
            if option.allotment.moved <= budget.comfort {
                if strongest.as_ref().is_none_or(|other| option.allotment.weaker_half < other.allotment.weaker_half) {
                    strongest = Some(option);
                }
                break;
            }
            if cheapest.as_ref().is_none_or(|other| option.allotment.moved < other.allotment.moved) {
                cheapest = Some(option);
            }
        }
    }
    let least = settings.sealed.map_or(1, PanelCount::get);
    let missed = || Box::new(Missed { reach, kept, dilutions, sealed: least, settings: *settings, budget });
    strongest.or(cheapest).ok_or_else(missed)
}

/// The first layout that reaches the target, by the rule of [`plan_found`].
fn first_option(
    ticket: &[Candidate<'_>],
    owner: &Owner<'_>,
    settings: &SwapSettings,
    kept: u64,
    budget: Budget,
) -> Result<StampOption, Box<Missed>> {
    let sealed = up_to(settings.sealed.map_or(PanelCount::MAX, PanelCount::get), kept, budget.target);
    let dilutions: Vec<Dilution> =
        Dilution::ALL.into_iter().filter(|d| settings.dilution.is_none_or(|least| d.get() >= least.get())).collect();
    let mut reach = Reach::new(owner.way());
    for sealed in sealed {
        for &dilution in &dilutions {
            if let Some(option) = StampOption::toward(ticket, owner, (sealed, dilution), budget, &mut reach) {
                return Ok(option);
            }
        }
    }
    Err(Box::new(Missed { reach, kept, dilutions, sealed: 1, settings: *settings, budget }))
}

/// Numbers of sealed panels to try, the most first: without those that are hopeless, but always 1, whose strength is told
/// if it misses the target.
fn up_to(most: u8, kept: u64, target: Log2P) -> Vec<PanelCount> {
    let counts = (1..=most).rev().filter_map(PanelCount::new);
    counts.filter(|&sealed| sealed.get() == 1 || !StampOption::is_hopeless(sealed, kept, target)).collect()
}

/// What the options that miss the target would come to.
struct Reach {
    /// The weakest panel of the best option.
    strongest: Log2P,
    /// Most room per kept active position that any option's panels have all together.
    room_share: f64,
    way: Way,
}

impl Reach {
    fn new(way: Way) -> Self {
        Self { strongest: Log2P::ONE, room_share: 0.0, way }
    }

    fn note(&mut self, panels: &[Counts], moves: u64) {
        let reached = within_reach(panels, moves);
        if reached < self.strongest {
            self.strongest = reached;
        }
        let (n, room) = panels.iter().fold((0, 0), |(n, room), panel| (n + panel.n, room + panel.room));
        if n > 0 {
            self.room_share = self.room_share.max(room as f64 / n as f64);
        }
    }
}

/// That no layout of at least `sealed` panels reaches the target.
pub(crate) struct Missed {
    reach: Reach,
    kept: u64,
    dilutions: Vec<Dilution>,
    sealed: u8,
    settings: SwapSettings,
    budget: Budget,
}

impl Missed {
    /// The refusal, with how many positions it would take, which takes a while to find out.
    fn refusal(self) -> StampError {
        let Self { reach: Reach { strongest, room_share, way }, kept, dilutions, sealed, settings, budget } = self;
        let needed = kept_needed(&dilutions, sealed, settings.target, settings.most_moved, way, room_share);
        StampError::TooSmall { kept, moves: budget.most, could: strongest, target: settings.target, needed }
    }
}

/// Sums what the panels hold over the carriers.
fn pooled(held: &[[Holding; PANELS]], sealed: PanelCount, way: Way) -> Vec<Counts> {
    let sum = |panel: PanelId| {
        held.iter().map(|held| held[usize::from(panel.get())]).fold(Counts { way, ..Counts::default() }, |sum, held| {
            Counts { n: sum.n + held.n, hits: sum.hits + held.hits, room: sum.room + held.room, way }
        })
    };
    sealed.all().map(sum).collect()
}

/// Shares each panel's swaps out among the carriers, in proportion to their room.
fn shared_out(held: &[[Holding; PANELS]], allotment: &Allotment) -> Vec<[u64; PANELS]> {
    let mut swaps = vec![[0; PANELS]; held.len()];
    for (panel, &total) in allotment.moves.iter().enumerate() {
        let room: Vec<u64> = held.iter().map(|held| held[panel].room).collect();
        for (swaps, share) in swaps.iter_mut().zip(proportional(total, &room)) {
            swaps[panel] = share;
        }
    }
    swaps
}

/// Chooses the positions of each carrier.
fn carry_out(ticket: &[Candidate<'_>], owner: &Owner<'_>, option: &StampOption) -> Vec<CarrierPlan> {
    (ticket.par_iter().zip(&option.moves).enumerate())
        .map(|(i, (&candidate, numbers))| {
            let chips = owner.chips(candidate.carrier, &option.split, option.dilution);
            let moves = match &owner.quotas {
                Some(quotas) => thin::choose(candidate, &chips, numbers, quotas[i]),
                None => swap::choose(candidate, &chips, numbers, owner.order(candidate.carrier)),
            };
            CarrierPlan { mask: moves.applied_to(candidate.mask), moves }
        })
        .collect()
}

/// The number of positions that is at most this share of those kept.
fn share_of(kept: u64, share: f64) -> u64 {
    (kept as f64 * share).floor() as u64
}
