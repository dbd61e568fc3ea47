//! Finders on the digits: each makes a sound ticket, repeats itself, goes on where it was stopped, and beats random masks of
//! the same layer densities where its paper says so.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

mod kit;

use std::collections::BTreeSet;

use counterfoil_claim::{OwnerKey, PanelCount};
use counterfoil_ticket::{Block, Mask, Model, Pattern};
use counterfoil_train::finder::{
    Bip, Channel, ClassAware, Densities, EdgePopup, Finder, Granet, Grasp, Imp, Jackpot, Keyed, Magnitude, Nm, Random,
    Rigl, Sap, Scope, Snip, Synflow,
};
use counterfoil_train::{Checkpoint, OwnMark};

use kit::{Kit, accuracy_of, mean, shuffled};

const SEEDS: [u64; 3] = [1, 2, 3];

fn imp(scope: Scope) -> Imp {
    Imp { prune_share: 0.6, scope }
}

fn nm() -> Nm {
    Nm { pattern: Pattern::new(1, 8).unwrap() }
}

/// All finders that take a sparsity, as they are without options.
fn all() -> Vec<Box<dyn Finder>> {
    vec![
        Box::new(imp(Scope::Global)),
        Box::new(Magnitude { scope: Scope::Global, pretrained: false }),
        Box::new(Random { densities: Densities::Erk }),
        Box::new(Snip),
        Box::new(Grasp),
        Box::new(Synflow),
        Box::new(Rigl { densities: Densities::Erk, move_share: 0.3 }),
        Box::new(Granet { move_share: 0.5 }),
        Box::new(Sap { scope: Scope::Global }),
        Box::new(EdgePopup { scope: Scope::Layer }),
        Box::new(Jackpot { scope: Scope::Global }),
        Box::new(Bip { scope: Scope::Global, pretrained: false }),
        Box::new(ClassAware),
        Box::new(Channel { scope: Scope::Layer }),
    ]
}

/// Mean accuracy over the seeds of the finder's tickets once trained, and of the same number of random positions in each
/// layer.
fn against_random(kit: &Kit, finder: &dyn Finder) -> (f64, f64) {
    let tickets: Vec<Model> = SEEDS.iter().map(|&seed| kit.find(finder, seed)).collect();
    let trained = |ticket: &Model| accuracy_of(&kit.trained(ticket, 7), &kit.data.test);
    let found = mean(tickets.iter().map(trained));
    let random = mean(tickets.iter().zip(SEEDS).map(|(ticket, seed)| trained(&shuffled(ticket, seed))));
    println!("{}: {found:.4}, random masks of its densities {random:.4}", finder.name());
    (found, random)
}

#[test]
fn every_ticket_is_sound_and_repeats_itself() {
    let kit = Kit::mlp();
    for finder in all() {
        let name = finder.name();
        let ticket = kit.find(&*finder, 5);
        let kept: usize = ticket.masks.values().map(|mask| mask.kept()).sum();
        let size: usize = ticket.masks.values().map(|mask| mask.size()).sum();
        let density = kept as f64 / size as f64;
        assert!((density - (1.0 - kit.sparsity)).abs() < 0.01, "{name}: {density}");
        assert_eq!(ticket.masks.keys().collect::<Vec<_>>(), ["fc1.weight", "fc2.weight"], "{name}");
        for (tensor, mask) in &ticket.masks {
            let scores = &ticket.scores[tensor];
            let values = |keep: bool| (0..mask.size()).filter(move |&p| mask.keeps(p) == keep).map(|p| scores[p]);
            let (least, most) = (values(true).fold(f32::MAX, f32::min), values(false).fold(f32::MIN, f32::max));
            assert!(most < least, "{name}: a pruned position of {tensor} has {most}, a kept one {least}");
            let zeros = ticket.arrays[tensor].values().iter().filter(|w| **w == 0.0).count();
            assert!(zeros < mask.size() / 100, "{name}: {zeros} weights of {tensor} are 0, and a ticket is dense");
        }
        assert_eq!(kit.find(&*finder, 5), ticket, "{name}");
        assert_ne!(kit.find(&*finder, 6).masks, ticket.masks, "{name}");
        if name == "channel" {
            // Both layers are linear: a hidden unit's weights and those that read it go together.
            let units = |tensor: &str, of: fn(usize, usize) -> usize| -> BTreeSet<usize> {
                let row = ticket.arrays[tensor].shape()[1];
                ticket.masks[tensor].positions().map(|position| of(position, row)).collect()
            };
            let written = units("fc1.weight", |position, row| position / row);
            assert_eq!(written, units("fc2.weight", |position, row| position % row));
            let whole = |tensor: &str, inputs: usize, outputs: usize| ticket.masks[tensor].kept() == inputs * outputs;
            assert!(whole("fc1.weight", ticket.arrays["fc1.weight"].shape()[1], written.len()));
            assert!(whole("fc2.weight", written.len(), units("fc2.weight", |position, row| position / row).len()));
        }
    }
}

#[test]
fn a_ticket_that_prunes_nothing_is_found_too() {
    let kit = Kit::mlp().of_sparsity(1e-9);
    for finder in all() {
        let ticket = kit.find(&*finder, 5);
        assert!(ticket.masks.values().all(|mask| mask.kept() == mask.size()), "{}", finder.name());
    }
}

fn assert_goes_on(kit: &Kit, finder: &dyn Finder) {
    let whole = kit.find(finder, 5);
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::beside(&folder.path().join("ticket"), serde_json::json!(1));
    let mut stops = 0;
    let ticket = loop {
        match kit.find_for_an_epoch(finder, 5, &checkpoint) {
            Some(ticket) => break ticket,
            None => stops += 1,
        }
    };
    assert!(stops >= 3, "{} was stopped {stops} times", finder.name());
    assert_eq!(ticket, whole, "{}", finder.name());
}

#[test]
fn a_search_that_is_stopped_at_every_epoch_ends_as_one_that_is_not() {
    let kit = Kit::mlp().of_epochs(3);
    for finder in all().into_iter().filter(|finder| finder.epochs(&kit.aim(5)).is_some()) {
        assert_goes_on(&kit, &*finder);
    }
    assert_goes_on(&kit.of_sparsity(0.875), &nm());
}

#[test]
fn of_every_block_so_many_are_kept() {
    let kit = Kit::mlp().of_sparsity(0.875);
    let (finder, pattern) = (nm(), Pattern::new(1, 8).unwrap());
    let ticket = kit.find(&finder, 5);
    assert_eq!(ticket.description.pattern, Some(pattern));
    for carrier in ticket.marked_carriers() {
        let mask = &ticket.masks[&carrier.name];
        let kept = |block: Block| block.positions().filter(|&position| mask.keeps(position)).count();
        assert!(pattern.blocks(carrier.shape).all(|block| kept(block) == 1), "{}", carrier.name);
    }
    let (found, random) = against_random(&kit, &finder);
    assert!(found > random, "{found} {random}");
}

#[test]
fn under_a_key_fewer_are_kept_at_chip_minus_one() {
    let kit = Kit::mlp();
    let key = OwnerKey::from_seed(&[7; 32]);
    let mark = OwnMark::under(key.public(), &key.master_seed(&[1; 32]), PanelCount::new(1).unwrap(), &kit.carriers());
    // Whole channels have chips of both signs; of what decay does to those there is nothing to expect.
    for finder in all().into_iter().filter(|finder| finder.name() != "channel") {
        let share = |ticket: &Model| {
            let against = mark.extra_decay(&ticket.marked_carriers(), 1.0);
            let at = |name: &String| ticket.masks[name].positions().filter(|&p| against[name][p] > 0.0).count();
            let kept: usize = ticket.masks.values().map(Mask::kept).sum();
            ticket.masks.keys().map(at).sum::<usize>() as f64 / kept as f64
        };
        let keyed = Keyed { mark: &mark, decay: 0.03, factor: 0.5 };
        let (with, without) = (share(&kit.find_keyed(&*finder, 5, keyed)), share(&kit.find(&*finder, 5)));
        println!("{}: {with:.3} at chip -1 with the key, {without:.3} without", finder.name());
        // Of 570 kept positions half have chip -1, give or take 0.021: five such deviations.
        assert!(with < 0.5 - 0.105 && (without - 0.5).abs() < 0.105, "{}: {with} {without}", finder.name());
    }
}

/// Finders whose papers say that their tickets, trained, beat random masks of the same densities.
#[test]
fn trained_tickets_beat_random_masks() {
    let kit = Kit::mlp();
    let mut beaten = Vec::new();
    for finder in all().into_iter().filter(|f| !["random", "edge-popup", "jackpot", "channel"].contains(&f.name())) {
        let (found, random) = against_random(&kit, &*finder);
        if found <= random {
            beaten.push(format!("{}: {found:.4}, random {random:.4}", finder.name()));
        }
    }
    assert!(beaten.is_empty(), "{beaten:?}");
    // Essential sparsity: the largest weights of a trained model, trained on.
    let essential = Magnitude { scope: Scope::Global, pretrained: true };
    let (found, random) = against_random(&kit.pretrained(4), &essential);
    assert!(found > random, "essential sparsity: {found:.4}, random {random:.4}");
}

/// Mean accuracies without any training, of the finder's tickets and of random masks of their densities.
fn untrained(kit: &Kit, finder: &dyn Finder) -> (f64, f64) {
    let tickets: Vec<Model> = SEEDS.iter().map(|&seed| kit.find(finder, seed)).collect();
    let answers = |ticket: &Model| accuracy_of(&kit.untrained(ticket), &kit.data.test);
    let found = mean(tickets.iter().map(answers));
    let random = mean(tickets.iter().zip(SEEDS).map(|(ticket, seed)| answers(&shuffled(ticket, seed))));
    println!("{} without training: {found:.4}, random masks of its densities {random:.4}", finder.name());
    (found, random)
}

#[test]
fn masks_on_fixed_weights_answer_without_training() {
    let (popup, random) = untrained(&Kit::mlp().of_sparsity(0.7), &EdgePopup { scope: Scope::Layer });
    assert!(popup > random + 0.2, "{popup} {random}");
    let kit = Kit::mlp().pretrained(4);
    let (jackpot, random) = untrained(&kit, &Jackpot { scope: Scope::Global });
    assert!(jackpot > random + 0.2, "{jackpot} {random}");
    // And better than the mask that it began with.
    let (magnitude, _) = untrained(&kit, &Magnitude { scope: Scope::Global, pretrained: true });
    assert!(jackpot > magnitude, "{jackpot} {magnitude}");
}
