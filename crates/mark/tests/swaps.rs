//! Swaps on tickets of the size of a ResNet-20 at 5 %, under several keys.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

use counterfoil_claim::{Dilution, Marked, MasterSeed, OwnerKey, PanelCount, PanelId, PublicKey, Seed, Split};
use counterfoil_mark::{
    Candidate, CarrierPlan, Log2P, Plan, Ranking, StampError, SwapSettings, Tally, Way, chip_map, log2_upper_tail,
    plan, plan_thinned, tally, turnover_tolerance,
};
use counterfoil_ticket::{Carrier, CarrierShape, Mask};

/// Random masks of one density (the stem and the last layer three times as dense), with random scores that agree: what
/// is kept has the higher ones.
struct Ticket {
    carriers: Vec<Carrier>,
    masks: Vec<Mask>,
    scores: Vec<Vec<f32>>,
}

impl Ticket {
    /// The carriers of He et al.'s ResNet-20 for CIFAR-10: 268,336 + 640 − 1,088 positions.
    fn resnet20(kept: usize, seed: u64) -> Self {
        let conv = |out: usize, inp: usize| vec![out, inp, 3, 3];
        let mut shapes = vec![conv(16, 3)];
        for (stage, width) in [16, 32, 64].into_iter().enumerate() {
            for layer in 0..6 {
                shapes.push(conv(width, if stage > 0 && layer == 0 { width / 2 } else { width }));
            }
        }
        shapes.push(vec![10, 64]);
        Self::random(&shapes, kept, seed)
    }

    /// The same with masks of whole output channels, one in sixteen of each layer.
    fn resnet20_of_channels() -> Self {
        let mut ticket = Self::resnet20(13_384, 1);
        for (carrier, mask) in ticket.carriers.iter().zip(&mut ticket.masks) {
            *mask = Mask::from_fn(mask.size(), |p| p / carrier.shape.row() % 16 == 1);
        }
        ticket
    }

    fn random(shapes: &[Vec<usize>], kept: usize, seed: u64) -> Self {
        let names: Vec<String> = (0..shapes.len()).map(|i| format!("layer{i}.weight")).collect();
        let carriers = Carrier::number(names.iter().zip(shapes).map(|(name, shape)| (name.as_str(), &shape[..])));
        let mut state = seed;
        let mut random = || splitmix(&mut state);
        let boost = |shape: CarrierShape| if shape.inp == 3 || shape.out == 10 { 3.0 } else { 1.0 };
        let scores: Vec<Vec<f32>> = carriers
            .iter()
            .map(|carrier| (0..carrier.shape.size()).map(|_| boost(carrier.shape) * random()).collect())
            .collect();
        let mut all: Vec<f32> = scores.iter().flatten().copied().collect();
        let cut = all.len() - kept;
        let threshold = *all.select_nth_unstable_by(cut, f32::total_cmp).1;
        let masks = scores.iter().map(|scores| Mask::from_fn(scores.len(), |p| scores[p] >= threshold)).collect();
        Self { carriers, masks, scores }
    }

    fn scored(&self) -> Vec<Candidate<'_>> {
        self.candidates(Ranking::Scores)
    }

    fn candidates<'a>(&'a self, ranking: impl Fn(&'a [f32]) -> Ranking<'a>) -> Vec<Candidate<'a>> {
        (self.carriers.iter().zip(&self.masks).zip(&self.scores))
            .map(|((carrier, mask), scores)| Candidate {
                carrier,
                mask,
                ranking: ranking(scores),
                held: None,
                pattern: None,
            })
            .collect()
    }

    fn kept(&self) -> usize {
        self.masks.iter().map(Mask::kept).sum()
    }

    fn with_masks(mut self, plan: &Plan) -> Self {
        self.masks = plan.carriers.iter().map(|carrier| carrier.mask.clone()).collect();
        self
    }

    /// Tally of each panel, counted as a verifier would.
    fn tallies(&self, owner: &Owner, plan: &Plan) -> Vec<Tally> {
        let seeds = owner.seeds(plan.sealed, &self.scored());
        let seeds: Vec<(PanelId, &Seed)> = seeds.iter().map(|(panel, seed)| (*panel, seed)).collect();
        let chips: Vec<_> = (self.carriers.iter())
            .map(|carrier| chip_map(&seeds, &owner.pk, &Split::Owner(plan.sealed), carrier, plan.dilution))
            .collect();
        plan.sealed
            .all()
            .map(|panel| self.masks.iter().zip(&chips).map(|(mask, chips)| tally(mask, chips, panel)).sum())
            .collect()
    }
}

fn splitmix(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
}

struct Owner {
    pk: PublicKey,
    master: MasterSeed,
}

impl Owner {
    fn new(number: u8) -> Self {
        let key = OwnerKey::from_seed(&[number; 32]);
        Self { pk: key.public(), master: key.master_seed(&[0; 32]) }
    }

    /// Of the panels of this ticket.
    fn seeds(&self, sealed: PanelCount, ticket: &[Candidate<'_>]) -> Vec<(PanelId, Seed)> {
        let marked = Marked::by_stamping(ticket.iter().map(|c| (c.carrier, c.mask.kept() as u64)));
        self.master.panels(&self.pk, sealed, &marked)
    }

    fn plan(&self, ticket: &[Candidate<'_>], settings: &SwapSettings) -> Result<Plan, StampError> {
        plan(ticket, &self.pk, &self.master, settings)
    }
}

fn bits(bits: f64) -> Log2P {
    Log2P::new(bits).unwrap()
}

fn strength(tally: Tally) -> f64 {
    log2_upper_tail(tally, counterfoil_mark::Chance::HALF).bits()
}

#[test]
fn a_resnet20_at_5_percent_takes_a_strong_mark_under_every_key() {
    for key in 0..8 {
        let ticket = Ticket::resnet20(13_384, 100 + u64::from(key));
        assert_eq!(ticket.kept(), 13_384);
        let owner = Owner::new(key);
        let plan = owner.plan(&ticket.scored(), &SwapSettings::default()).unwrap();
        assert!(plan.moved_share() <= 0.05, "key {key}: {}", plan.moved_share());
        for panel in &plan.panels {
            assert!(panel.strength_after <= bits(-160.0), "key {key}: {panel:?}");
            assert_eq!(panel.after.n(), panel.before.n());
            assert_eq!(panel.after.hits(), panel.before.hits() + panel.moves);
        }
        assert!(strength(plan.sealed_after()) <= -290.0, "key {key}: {}", strength(plan.sealed_after()));
        assert!(plan.panels[0].strength_after <= bits(-256.0), "key {key}: {:?}", plan.panels[0]);
        assert_eq!(plan.dilution.get(), 8, "key {key}");

        // What a verifier counts is what the plan says.
        let after: Vec<Tally> = plan.panels.iter().map(|panel| panel.after).collect();
        assert_eq!(ticket.with_masks(&plan).tallies(&owner, &plan), after);
    }
}

#[test]
fn whole_channels_are_thinned_to_the_target_under_every_key() {
    let ticket = Ticket::resnet20_of_channels();
    for key in 0..8 {
        let owner = Owner::new(key);
        let swapped = owner.plan(&ticket.scored(), &SwapSettings::default()).unwrap_err();
        assert!(matches!(swapped, StampError::TooSmall { needed: None, .. }), "key {key}: {swapped}");
        let plan = plan_thinned(&ticket.scored(), &owner.pk, &owner.master, &SwapSettings::default()).unwrap();
        assert_eq!((plan.way, plan.kept), (Way::Thin, ticket.kept() as u64), "key {key}");
        for (mask, after) in ticket.masks.iter().zip(&plan.carriers) {
            // The same share of each carrier, known before there are chips.
            let share = (mask.kept() - after.mask.kept()) as f64 / mask.kept() as f64;
            assert!((share - plan.moved_share()).abs() <= 1.0 / mask.kept() as f64, "key {key}: {share}");
            let of_hundred = (0..=5).map(|i| (mask.kept() as f64 * (0.05 + 0.01 * f64::from(i))) as usize);
            assert!(of_hundred.into_iter().any(|quota| quota == mask.kept() - after.mask.kept()), "key {key}: {share}");
        }
        for panel in &plan.panels {
            assert!(panel.strength_after <= bits(-160.0), "key {key}: {panel:?}");
            assert_eq!(panel.after.hits(), panel.before.hits());
            assert_eq!(panel.after.n(), panel.before.n() - panel.moves);
        }
        let is_within = |(before, after): (&Mask, &CarrierPlan)| before.overlap(&after.mask) == after.mask.kept();
        assert!(ticket.masks.iter().zip(&plan.carriers).all(is_within), "key {key}: pruned channels stay pruned");

        let after: Vec<Tally> = plan.panels.iter().map(|panel| panel.after).collect();
        let kept_after = plan.kept_after();
        let ticket = Ticket::resnet20_of_channels().with_masks(&plan);
        assert_eq!(ticket.kept() as u64, kept_after);
        assert_eq!(ticket.tallies(&owner, &plan), after);
    }
}

#[test]
fn whatever_the_caller_fixes_130_bits_a_half_cost_at_most_8_percent() {
    let ticket = Ticket::resnet20(13_384, 1);
    for key in 20..24 {
        for (dilution, sealed) in [(2, Some(1)), (4, Some(1)), (4, None), (8, Some(2)), (8, None)] {
            let settings = SwapSettings {
                target: bits(-130.0),
                dilution: Dilution::new(dilution),
                sealed: sealed.and_then(PanelCount::new),
                ..SwapSettings::default()
            };
            let plan = Owner::new(key).plan(&ticket.scored(), &settings).unwrap();
            assert!(plan.moved_share() <= 0.08, "key {key}, D = {dilution}: {}", plan.moved_share());
            let reached = plan.panels.iter().all(|panel| panel.strength_after <= bits(-130.0));
            assert!(reached, "key {key}, D = {dilution}: {:?}", plan.panels);
        }
    }
}

#[test]
fn the_same_ticket_and_key_give_the_same_plan_and_another_key_another_one() {
    let ticket = Ticket::resnet20(13_384, 2);
    let weights = ticket.candidates(Ranking::Weights);
    let plan = |key| Owner::new(key).plan(&weights, &SwapSettings::default()).unwrap();
    assert_eq!(plan(1), plan(1));
    assert_ne!(plan(1).carriers, plan(2).carriers);
}

#[test]
fn degrees_and_densities_stay_as_they_were() {
    let ticket = Ticket::resnet20(13_384, 3);
    let plan = Owner::new(3).plan(&ticket.scored(), &SwapSettings::default()).unwrap();
    for ((carrier, before), after) in ticket.carriers.iter().zip(&ticket.masks).zip(&plan.carriers) {
        let row = carrier.shape.row();
        let degrees = |mask: &Mask| {
            let mut degrees = vec![0; carrier.shape.out as usize];
            mask.positions().for_each(|position| degrees[position / row] += 1);
            degrees
        };
        assert_eq!(degrees(&after.mask), degrees(before), "{}", carrier.name);
        assert_eq!(before.kept() - before.overlap(&after.mask), after.moves.dropped.len(), "{}", carrier.name);
    }
    assert_eq!(plan.carriers.iter().map(|carrier| carrier.moves.dropped.len() as u64).sum::<u64>(), plan.moved);
}

#[test]
fn pruning_half_by_magnitude_leaves_a_share_of_the_mark() {
    // The smaller half of what each carrier keeps is pruned; everything that was taken in stands there and goes. Of the
    // e positions dropped from n, half had stood in the larger half: that half has lost e/2 of chip -1, an excess of e/4
    // in n/2 - e/2. At e = n/3 this is (1/16) / (1/3) = 3/16 of the e^2 / n before. Dropping the cheapest leaves none.
    let ticket = Ticket::resnet20(13_384, 4);
    let owner = Owner::new(4);
    let plan = owner.plan(&ticket.scored(), &SwapSettings::default()).unwrap();
    let before = strength(plan.panels[0].after);
    let mut ticket = ticket.with_masks(&plan);
    for (mask, scores) in ticket.masks.iter_mut().zip(&ticket.scores) {
        let mut kept: Vec<usize> = mask.positions().collect();
        kept.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        kept[..kept.len() / 2].iter().for_each(|&position| mask.set(position, false));
    }
    let after = strength(ticket.tallies(&owner, &plan)[0]);
    assert!(after <= before / 8.0, "{before} -> {after}");
}

#[test]
fn a_strong_ticket_is_left_alone() {
    let ticket = Ticket::resnet20(13_384, 5);
    let owner = Owner::new(5);
    let first = owner.plan(&ticket.scored(), &SwapSettings::default()).unwrap();
    let ticket = ticket.with_masks(&first);
    let again = owner.plan(&ticket.scored(), &SwapSettings::top_up(first.sealed, first.dilution)).unwrap();
    assert_eq!(again.moved, 0);
    assert!(again.carriers.iter().all(|carrier| carrier.moves.dropped.is_empty() && carrier.moves.added.is_empty()));
    for (first, again) in first.panels.iter().zip(&again.panels) {
        assert_eq!((again.before, again.after, again.moves), (first.after, first.after, 0));
    }
}

#[test]
fn a_large_ticket_reaches_80_percent_tolerance_without_dilution() {
    let ticket = Ticket::random(&[vec![800, 1000], vec![1000, 1200]], 800_000, 6);
    let plan = Owner::new(6).plan(&ticket.scored(), &SwapSettings::default()).unwrap();
    assert_eq!((plan.dilution.get(), plan.sealed.get()), (1, 4));
    let threshold = bits(-64.0);
    assert!(turnover_tolerance(plan.panels[0].strength_after, threshold) >= 0.8, "{:?}", plan.panels[0]);
    assert!(turnover_tolerance(bits(strength(plan.sealed_after())), threshold) >= 0.8);
    assert!(plan.moved_share() <= 0.05);
}

#[test]
fn a_small_ticket_is_refused_with_what_it_could_reach_and_what_would_do() {
    for kept in [100, 500, 1500] {
        let ticket = Ticket::resnet20(13_384, 7);
        let small =
            Ticket { masks: ticket.masks.iter().map(|mask| thinned(mask, kept as f64 / 13_384.0)).collect(), ..ticket };
        let total = small.kept() as u64;
        match Owner::new(7).plan(&small.scored(), &SwapSettings::default()).unwrap_err() {
            StampError::TooSmall { kept, moves, could, target, needed: Some(needed) } => {
                assert_eq!((kept, moves, target), (total, total / 10, bits(-160.0)));
                // Moves times four of n chips, all at +1, are the most there can be; no more than one bit each.
                assert!(could > target && -could.bits() <= total as f64 / 16.0 + total as f64 / 10.0, "{could}");
                assert!((2_500..6_000).contains(&needed), "{needed}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_said_to_do_does() {
    let refused = Ticket::resnet20(1_000, 8);
    let Err(StampError::TooSmall { needed: Some(needed), .. }) =
        Owner::new(8).plan(&refused.scored(), &SwapSettings::default())
    else {
        panic!("1,000 kept positions carry no mark of 160 bits");
    };
    for key in 30..36 {
        let ticket = Ticket::resnet20(needed as usize, u64::from(key));
        let plan = Owner::new(key).plan(&ticket.scored(), &SwapSettings::default()).unwrap();
        assert!(plan.moved_share() <= 0.10);
    }
}

#[test]
fn a_dense_ticket_is_refused_without_a_number_that_would_do() {
    let ticket = Ticket::resnet20(13_384, 9);
    let dense = Ticket { masks: ticket.masks.iter().map(|mask| Mask::full(mask.size())).collect(), ..ticket };
    let error = Owner::new(9).plan(&dense.scored(), &SwapSettings::default()).unwrap_err();
    assert!(matches!(error, StampError::TooSmall { needed: None, .. }), "{error}");
}

/// Keeps each position with this chance, more or less.
fn thinned(mask: &Mask, share: f64) -> Mask {
    let mut state = 1;
    Mask::from_fn(mask.size(), |position| mask.keeps(position) && f64::from(splitmix(&mut state)) < share)
}
