use counterfoil_claim::{Dilution, PanelCount, Split};
use counterfoil_ticket::{Architecture, ImageShape};

use super::*;
use crate::{Log2P, chip_map, tally};

/// A ResNet-20 ticket that keeps one position in twenty, in no special order.
fn ticket() -> Model {
    let input = ImageShape { channels: 1, height: 8, width: 8 };
    let architecture = Architecture::Resnet20 { input, width: 16, classes: 10 };
    let mut model = Model::default();
    for layer in architecture.layers() {
        let [o, i, h, w] = <[u32; 4]>::from(layer.shape).map(|d| d as usize);
        let shape = if (h, w) == (1, 1) { vec![o, i] } else { vec![o, i, h, w] };
        let values: Vec<f32> = (0..layer.shape.size()).map(|p| ((p * 7919) % 1009) as f32 - 504.5).collect();
        if layer.prunable {
            let mask = Mask::from_fn(values.len(), |p| (p * 2_654_435_761) % 4_294_967_296 < 214_748_364);
            model.masks.insert(layer.weight(), mask);
            model.scores.insert(layer.weight(), values.iter().map(|v| v.abs()).collect());
        }
        model.arrays.insert(layer.weight(), Array::new(shape, values).unwrap());
    }
    model.description.kind = Kind::Ticket;
    model.description.architecture = Some(architecture);
    model
}

fn request() -> StampRequest {
    StampRequest { swaps: SwapSettings::default(), keyed: None, provenance: None }
}

#[test]
fn a_stamp_carries_what_its_plan_promised_and_keeps_every_channels_degree() {
    let (ticket, key) = (ticket(), OwnerKey::from_seed(&[7; 32]));
    let prepared = prepare(&ticket, &key, request()).unwrap();
    let plan = prepared.plan().clone();
    let stamped = prepared.finish("2026-01-01T00:00:00Z", "t").unwrap();
    let seeds = stamped.counterfoil.seeds();
    let seeds: Vec<_> = seeds.iter().map(|(panel, seed)| (*panel, seed)).collect();
    for panel in &plan.panels {
        let total: crate::Tally = (stamped.counterfoil.reference().iter())
            .map(|(carrier, mask)| {
                tally(
                    mask,
                    &chip_map(&seeds, &key.public(), &Split::Owner(plan.sealed), carrier, plan.dilution),
                    panel.panel,
                )
            })
            .sum();
        assert_eq!(total, panel.after, "{:?}", panel.panel);
        assert!(panel.strength_after <= Log2P::new(-160.0).unwrap(), "{:?}", panel.panel);
    }
    for (name, mask) in &stamped.model.masks {
        let row = mask.size() / ticket.arrays[name].shape()[0];
        let degree = |mask: &Mask, c: usize| (c * row..(c + 1) * row).filter(|&p| mask.keeps(p)).count();
        for c in 0..ticket.arrays[name].shape()[0] {
            assert_eq!(degree(mask, c), degree(&ticket.masks[name], c), "{name} channel {c}");
        }
        let outside = stamped.model.arrays[name].values().iter().enumerate().filter(|(p, _)| !mask.keeps(*p));
        assert_eq!(outside.filter(|(_, v)| **v != 0.0).count(), 0, "{name}");
    }
    assert_eq!(stamped.model.scores.len(), 0);
    assert_eq!(stamped.model.description.kind, Kind::Stamped);
}

#[test]
fn the_same_key_and_ticket_give_the_same_bytes() {
    let (ticket, key) = (ticket(), OwnerKey::from_seed(&[7; 32]));
    let make = || prepare(&ticket, &key, request()).unwrap().finish("2026-01-01T00:00:00Z", "t").unwrap();
    let (a, b) = (make(), make());
    assert_eq!(a.claim, b.claim);
    assert_eq!(a.model, b.model);
}

#[test]
fn stamped_tickets_and_dense_models_are_refused() {
    let key = OwnerKey::from_seed(&[7; 32]);
    let mut stamped = ticket();
    stamped.description.kind = Kind::Stamped;
    let refusal = |model: &Model| prepare(model, &key, request()).err().map(|e| e.to_string());
    assert_eq!(refusal(&stamped).as_deref(), Some("the ticket is stamped already, expected one without a mark"));
    let dense = Model { masks: BTreeMap::new(), ..ticket() };
    let message = "the ticket has no mask, expected '_mask' tensors or weights of which at least a tenth are zero";
    assert_eq!(refusal(&dense).as_deref(), Some(message));
}

#[test]
fn keyed_findings_keep_their_seed_and_layout() {
    let (ticket, key) = (ticket(), OwnerKey::from_seed(&[7; 32]));
    let (sealed, dilution) = (PanelCount::new(2).unwrap(), Dilution::new(1).unwrap());
    let swaps = SwapSettings { target: Log2P::new(-20.0).unwrap(), ..SwapSettings::top_up(sealed, dilution) };
    let keyed = Some(KeyedFinding { master: MasterSeed::from_bytes([3; 32]), decay: Some(3e-3), factor: None });
    let prepared = prepare(&ticket, &key, StampRequest { swaps, keyed, provenance: None }).unwrap();
    let stamped = prepared.finish("2026-01-01T00:00:00Z", "t").unwrap();
    assert_eq!(stamped.counterfoil.master().as_bytes(), &[3; 32]);
    assert_eq!((stamped.counterfoil.sealed_panels(), stamped.counterfoil.dilution()), (sealed, dilution));
}

/// The ticket with one in sixteen output channels, whole.
fn of_channels() -> Model {
    let mut model = ticket();
    for (name, mask) in &mut model.masks {
        let row = mask.size() / model.arrays[name].shape()[0];
        *mask = Mask::from_fn(mask.size(), |p| (p / row).is_multiple_of(16));
    }
    model
}

#[test]
fn whole_channels_are_thinned_however_they_were_found() {
    let (ticket, key) = (of_channels(), OwnerKey::from_seed(&[7; 32]));
    let keyed = Some(KeyedFinding { master: MasterSeed::from_bytes([3; 32]), decay: Some(3e-3), factor: None });
    let swaps = SwapSettings::top_up(PanelCount::new(1).unwrap(), Dilution::ALL[0]);
    for (request, most) in [(request(), 4), (StampRequest { swaps, keyed, provenance: None }, 1)] {
        let prepared = prepare(&ticket, &key, request).unwrap();
        assert!(prepared.plan().sealed.get() <= most);
        let (moved, kept_after) = (prepared.plan().moved, prepared.plan().kept_after());
        let stamped = prepared.finish("2026-01-01T00:00:00Z", "t").unwrap();
        let claim = VerifiedClaim::verify(stamped.claim.as_bytes(), &key.public()).unwrap();
        let expected = Stamping { method: StampingMethod::Thinning, moved, decay: None, factor: None };
        assert_eq!(claim.body().stamping, expected);
        assert_eq!(claim.body().carriers.iter().map(|carrier| carrier.kept).sum::<u64>(), kept_after);
    }
}

#[test]
fn swaps_take_nothing_in_from_channels_that_are_gone() {
    let (mut ticket, key) = (ticket(), OwnerKey::from_seed(&[7; 32]));
    for (name, mask) in &mut ticket.masks {
        let [_, inputs, height, width] = ticket.arrays[name].shape()[..] else { panic!("{name} is no convolution") };
        let of = |p: usize| (p / (inputs * height * width), p / (height * width) % inputs);
        *mask = Mask::from_fn(mask.size(), |p| of(p).0.is_multiple_of(4) && of(p).1.is_multiple_of(4));
    }
    let prepared = prepare(&ticket, &key, request()).unwrap();
    assert_eq!(prepared.plan().way, crate::Way::Thin);
    // One weight beside the channels, and there is something to exchange.
    let name = ticket.masks.keys().next_back().unwrap().clone();
    let mask = &ticket.masks[&name];
    let beside = Mask::from_fn(mask.size(), |p| mask.keeps(p) || p == mask.size() - 1);
    ticket.masks.insert(name, beside);
    assert_eq!(prepare(&ticket, &key, request()).unwrap().plan().way, crate::Way::Swap);
}

#[test]
fn patterns_are_not_thinned_and_of_two_refusals_the_stronger_is_told() {
    let key = OwnerKey::from_seed(&[7; 32]);
    let mut whole = of_channels();
    whole.description.pattern = counterfoil_ticket::Pattern::new(2, 4);
    let refused = |model: &Model, target| {
        let swaps = SwapSettings { target: Log2P::new(target).unwrap(), ..SwapSettings::default() };
        match prepare(model, &key, StampRequest { swaps, ..request() }).err().unwrap() {
            StampingError::Swaps(StampError::TooSmall { could, needed, .. }) => (could.bits(), needed),
            other => panic!("{other}"),
        }
    };
    assert_eq!(refused(&whole, -160.0).1, None, "no room for swaps");
    // Swaps of 10 % of 13,400 positions are worth twice what dropping as many is; of whole channels they are worth
    // nothing.
    let (swapped, _) = refused(&ticket(), -5000.0);
    let (thinned, needed) = refused(&of_channels(), -5000.0);
    assert!(swapped < thinned && thinned < -160.0, "{swapped} {thinned}");
    assert!(needed.is_some_and(|needed| needed > 13_400), "{needed:?}");
}

#[test]
fn a_keyed_finding_that_misses_the_target_keeps_as_many_sealed_panels_as_reach_it() {
    let (ticket, key) = (ticket(), OwnerKey::from_seed(&[7; 32]));
    let prepared = |target, panels: u8| {
        let (most, all) = (PanelCount::new(panels).unwrap(), Dilution::ALL[0]);
        let swaps = SwapSettings { target: Log2P::new(target).unwrap(), ..SwapSettings::top_up(most, all) };
        let keyed = Some(KeyedFinding { master: MasterSeed::from_bytes([3; 32]), decay: Some(0.0), factor: None });
        prepare(&ticket, &key, StampRequest { swaps, keyed, provenance: None })
    };
    // 13,400 kept, and no bias at all: 1,340 moves bring five panels to -160 only if not all positions count.
    let diluted = prepared(-160.0, 4).unwrap();
    assert_eq!((diluted.plan().sealed.get(), diluted.plan().dilution.get()), (4, 2));
    // At -540 three panels are out of reach under every dilution, and two are not.
    let fewer = prepared(-540.0, 4).unwrap();
    assert_eq!(fewer.plan().sealed.get(), 2, "{:?}", fewer.plan().panels);
    assert!(fewer.plan().panels.iter().all(|panel| panel.strength_after.bits() <= -540.0));
    let (moved, kept) = (fewer.plan().moved, fewer.plan().kept);
    assert!(moved * 10 <= kept, "{moved} of {kept}");
    let stamped = fewer.finish("2026-01-01T00:00:00Z", "t").unwrap();
    assert_eq!(stamped.counterfoil.sealed_panels().get(), 2);
    let refused = prepared(-5000.0, 4).err().map(|error| error.to_string()).unwrap();
    assert!(refused.contains("expected -5000.0"), "{refused}");
}
