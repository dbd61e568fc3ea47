use std::collections::BTreeMap;

use counterfoil_claim::{Counterfoil, OwnerKey, PanelId};
use counterfoil_mark::{StampRequest, Stamped, SwapSettings, Tally, chip_map, prepare, tally};
use counterfoil_ticket::{Architecture, Mask, Model};

use crate::kit::{DIGITS, RESNET20, attacked, attacked_with, difference, insight, kept, sparse_model};
use crate::{Insight, stolen};

/// A stamped model, and who stamped it.
fn stamped() -> (Model, Counterfoil, Insight) {
    let wide = Architecture::Resnet20 { input: DIGITS, width: 8, classes: 10 };
    let ticket = sparse_model(wide, 0.3);
    let mut dense = ticket.clone();
    super::known::fill_pruned(&mut dense, 1.0, 4);
    let key = OwnerKey::from_seed(&[7; 32]);
    let request = StampRequest { swaps: SwapSettings::default(), keyed: None, provenance: None };
    let Stamped { model, counterfoil, .. } =
        prepare(&dense, &key, request).unwrap().finish("2026-01-01T00:00:00Z", "t").unwrap();
    let insight = Insight { split: counterfoil.split(), dilution: counterfoil.dilution(), ..insight(&key.public()) };
    (stolen(Model { description: ticket.description, ..model }), counterfoil, insight)
}

/// Tallies of the public panel and of all sealed ones.
fn halves(counterfoil: &Counterfoil, model: &Model) -> [Tally; 2] {
    let seeds = counterfoil.seeds();
    let seeds: Vec<_> = seeds.iter().map(|(panel, seed)| (*panel, seed)).collect();
    let (mut public, mut hidden) = (Vec::new(), Vec::new());
    for (carrier, _) in counterfoil.reference() {
        let sealed = counterfoil.sealed_panels();
        let chips = chip_map(&seeds, counterfoil.public_key(), &counterfoil.split(), carrier, counterfoil.dilution());
        let mask = Mask::of_nonzero(model.arrays[&carrier.name].values());
        public.push(tally(&mask, &chips, PanelId::PUBLIC));
        hidden.extend(sealed.sealed().map(|panel| tally(&mask, &chips, panel)));
    }
    [public.into_iter().sum(), hidden.into_iter().sum()]
}

fn bias(tally: Tally) -> f64 {
    tally.hits() as f64 / tally.n() as f64 - 0.5
}

#[test]
fn known_panels_are_undone_and_others_stay() {
    let (model, counterfoil, insight) = stamped();
    let before = halves(&counterfoil, &model);
    assert!(bias(before[0]) > 0.02 && bias(before[1]) > 0.02, "{before:?}");
    let run = |name, set: &[(&str, &str)]| attacked_with(name, &model, set, Vec::new(), Some(insight.clone())).unwrap();
    let undone = run("panel-undo", &[]);
    let after = halves(&counterfoil, &undone);
    assert!(bias(after[0]).abs() < 1e-3, "{after:?}");
    assert_eq!((after[1], kept(&undone)), (before[1], kept(&model)));
    let over = halves(&counterfoil, &run("panel-undo", &[("overshoot", "0.1")]));
    assert!((bias(over[0]) + 0.1).abs() < 1e-3 && over[1] == before[1], "{over:?}");
    let ruined = halves(&counterfoil, &run("panel-ruin", &[("permute", "off")]));
    // Five deviations of a share of n fair coins.
    assert!(bias(ruined[0]).abs() < 2.5 / (ruined[0].n() as f64).sqrt() && ruined[1] == before[1], "{ruined:?}");
    let permuted = halves(&counterfoil, &run("panel-ruin", &[]));
    assert!(bias(permuted[1]).abs() < 2.5 / (permuted[1].n() as f64).sqrt(), "{permuted:?}");
    let lacks = attacked("panel-undo", &model, &[]).map(|_| ()).unwrap_err().to_string();
    assert_eq!(lacks, "the attack needs the owner's public key, and there is none");
}

#[test]
fn overwriting_marks_for_another_key_and_weakens_little() {
    let (model, counterfoil, _) = stamped();
    let before = halves(&counterfoil, &model);
    let over = attacked("overwrite", &model, &[]).unwrap();
    let after = halves(&counterfoil, &over);
    assert!((0..2).all(|half| bias(after[half]) > 0.7 * bias(before[half])), "{before:?} {after:?}");
    assert_ne!(over.masks, model.masks);
    assert_eq!(kept(&over), kept(&model));
    let third = OwnerKey::from_seed(&[8; 32]);
    assert_ne!(super::overwrite::own_key(3).public().key_id(), third.public().key_id());
}

#[test]
fn codes_need_room() {
    let refused = attacked("qr-overwrite", &sparse_model(RESNET20(), 0.3), &[]).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("takes 29 x 29 kernels, and the layer with most room"), "{refused}");
    let wide = sparse_model(Architecture::Resnet20 { input: DIGITS, width: 8, classes: 10 }, 0.3);
    let coded = attacked("qr-overwrite", &wide, &[]).unwrap();
    assert_eq!(kept(&coded), kept(&wide));
    assert_ne!(coded.masks, wide.masks);
}

#[test]
fn zeros_are_filled() {
    let model = sparse_model(RESNET20(), 0.3);
    let grown = attacked("add-on", &model, &[("share", "0.1")]).unwrap();
    let size: usize = model.masks.values().map(Mask::size).sum();
    let expected = (size - kept(&model)) / 10;
    assert!((kept(&grown) - kept(&model)).abs_diff(expected) < model.masks.len(), "{} {expected}", kept(&grown));
    let filled = attacked("epsilon", &model, &[]).unwrap();
    assert!(filled.masks.is_empty() && difference(&model, &filled) < 0.02, "{}", difference(&model, &filled));
    assert!(filled.arrays["layer1.0.conv1.weight"].values().iter().all(|w| *w != 0.0));
}

#[test]
fn other_masks_have_the_same_degrees() {
    let model = sparse_model(RESNET20(), 0.3);
    let degrees = |model: &Model| -> BTreeMap<String, Vec<usize>> {
        let of = |name: &String, mask: &Mask| {
            let out = model.arrays[name].shape()[0];
            let mut degrees = vec![0; out];
            mask.positions().for_each(|p| degrees[p * out / mask.size()] += 1);
            degrees
        };
        model.masks.iter().map(|(name, mask)| (name.clone(), of(name, mask))).collect()
    };
    let changed = |other: &Model| model.masks.iter().filter(|(name, mask)| other.masks[*name] != **mask).count();
    for (layers, expected) in [("1", 1), ("3", 3), ("0", model.masks.len())] {
        let other = attacked("mask-transplant", &model, &[("layers", layers)]).unwrap();
        assert_eq!((changed(&other), degrees(&other)), (expected, degrees(&model)));
    }
    let erk = attacked("mask-transplant", &model, &[("layers", "0"), ("mask", "erk")]).unwrap();
    assert!(kept(&erk).abs_diff(kept(&model)) < 5, "{} {}", kept(&erk), kept(&model));
    let density = |name: &str| erk.masks[name].density();
    assert!(density("layer1.0.conv1.weight") > 1.5 * density("layer3.2.conv2.weight"));
}

#[test]
fn taps_move_within_their_kernels() {
    let model = sparse_model(RESNET20(), 0.3);
    let shuffled = attacked("tap-shuffle", &model, &[("share", "1")]).unwrap();
    assert_ne!(shuffled.masks, model.masks);
    for (name, mask) in &model.masks {
        for kernel in 0..mask.size() / 9 {
            let count = |mask: &Mask| (kernel * 9..kernel * 9 + 9).filter(|&p| mask.keeps(p)).count();
            assert_eq!(count(mask), count(&shuffled.masks[name]));
        }
    }
    assert_eq!(attacked("tap-shuffle", &model, &[("share", "0")]).unwrap(), model);
}

#[test]
fn starved_models_keep_less_than_a_verdict_takes() {
    let model = sparse_model(RESNET20(), 0.5);
    assert_eq!(kept(&attacked("starve", &model, &[("bias", "0.2")]).unwrap()), 554);
    assert_eq!(attacked("starve", &model, &[("bias", "0.001")]).unwrap(), model);
}

#[test]
fn copies_merge_by_vote_and_swaps_are_undone() {
    let base = sparse_model(RESNET20(), 0.3);
    let copy = |share: &str, layers: &str| {
        let moved = attacked("tap-shuffle", &base, &[("share", share)]).unwrap();
        attacked("mask-transplant", &moved, &[("layers", layers)]).unwrap()
    };
    let (first, second) = (copy("0.1", "1"), copy("0.2", "1"));
    let run =
        |by: &str| attacked_with("collude", &base, &[("by", by)], vec![first.clone(), second.clone()], None).unwrap();
    let name = "layer2.1.conv1.weight";
    let votes = |p: usize| [&base, &first, &second].iter().filter(|m| m.arrays[name].values()[p] != 0.0).count();
    for (by, kept) in [("and", &[3][..]), ("or", &[1, 2, 3]), ("majority", &[2, 3]), ("minority", &[1, 3])] {
        let merged = run(by);
        let is_right = |p: usize| merged.masks[name].keeps(p) == kept.contains(&votes(p));
        assert!((0..merged.masks[name].size()).all(is_right), "{by}");
    }
    assert_eq!(kept(&run("average")), kept(&base));
    let undo =
        |share: &str| attacked_with("undo-reference", &first, &[("share", share)], vec![base.clone()], None).unwrap();
    assert_eq!(undo("1").masks, base.masks);
    assert_eq!(undo("0").masks, first.masks);
    let lacks = attacked("undo-reference", &first, &[]).map(|_| ()).unwrap_err().to_string();
    assert_eq!(lacks, "the attack needs another model, and there is none");
}
