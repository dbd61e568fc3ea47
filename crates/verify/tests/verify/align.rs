//! Marks under permuted channels.

use counterfoil_claim::{PanelId, StampingMethod};
use counterfoil_ticket::{CarrierShape, Layer, Mask, Model};
use counterfoil_verify::{CarrierReport, CarrierState, Level, TestReport, Verdict};

use crate::align_kit::{Shown, framed, is_stream, permuted, pruned, relaid, resnet20};
use crate::kit::{Random, array, change, decided, look, rename};

#[test]
fn a_permuted_rescaled_and_pruned_ticket_is_proven_at_full_strength() {
    let net = resnet20(16);
    let shown = Shown::new(&net, 200, 0.05, 0.3, &[1, 2]);
    let in_place = pruned(&shown.ticket.model(), 0.2, 3);
    let suspect = permuted(&in_place, &net, 4);
    let plain = look(&suspect, &shown.evidence());
    assert_eq!(plain.verdict, Verdict::NoMatch);
    assert!(plain.stronger.contains(&"a look under permuted channels".to_owned()), "{:?}", plain.stronger);

    let report = shown.align(&suspect, true);
    assert_eq!(report.verdict, Verdict::Proven);
    let test = decided(&report);
    assert_eq!((test.reading.as_deref(), test.panel.as_str()), (Some("aligned zeros"), "1+2"));
    let alignment = test.alignment.as_ref().expect("it was aligned");
    assert_eq!((alignment.on.as_str(), alignment.turn, alignment.bits), ("0", None, 0));
    // What reading in place gives where nothing was permuted; three aligned readings cost 3 bits,
    // which of two panels were disclosed 2.
    let full = look(&in_place, &shown.evidence());
    assert_eq!((test.n, test.hits, test.charge), (decided(&full).n, decided(&full).hits, 3 + 2));
}

/// As in tickets of layer sparsities that leave small layers whole.
#[test]
fn layers_that_were_not_pruned_are_left_out_and_not_missed() {
    let net = resnet20(16);
    let mut shown = Shown::new(&net, 208, 0.05, 0.3, &[1, 2]);
    let (dense, mask) = &mut shown.ticket.masks[0];
    (0..mask.size()).for_each(|position| mask.set(position, true));
    let dense = dense.name.clone();
    shown.claim = shown.owner.claim(&shown.ticket);
    shown.disclosures = shown.owner.disclose(&shown.ticket, &shown.claim, &[1, 2]);
    let report = shown.align(&permuted(&shown.ticket.model(), &net, 4), true);
    assert!(decided(&report).alignment.is_some());
    let is_counted = |carrier: &&CarrierReport| carrier.state == CarrierState::Counted;
    assert_eq!(report.carriers.iter().filter(is_counted).count(), report.carriers.len() - 1);
    let left_out = report.carriers.iter().find(|carrier| !is_counted(carrier)).map(|c| (&c.state, &c.carrier));
    assert_eq!(left_out, Some((&CarrierState::LeftOut, &dense)));
}

#[test]
fn a_claimant_who_may_have_seen_the_suspect_pays_for_the_choice() {
    let net = resnet20(16);
    let shown = Shown::new(&net, 201, 0.05, 0.3, &[1, 2]);
    let report = shown.align(&permuted(&shown.ticket.model(), &net, 4), false);
    assert_eq!(report.verdict, Verdict::Inconclusive);
    let aligned = report.tests.iter().find(|t| t.alignment.is_some() && t.decisive).expect("it was aligned");
    // 4 · log2 (16! · 32! · 64!) = 1831.6, and 3 for the turns
    assert_eq!(aligned.alignment.as_ref().map(|a| a.bits), Some(1835));
    // and 4 for the layout
    assert_eq!((aligned.choice, aligned.charge), (1835 + 4, 1835 + 4 + 3 + 2));
    assert!(report.stronger[0].contains("costs 1839 bits less"), "{:?}", report.stronger);
}

/// The thief knows the public key: he moves all kept positions of panel 0 elsewhere before he permutes.
#[test]
fn a_ruined_public_panel_does_not_lead_alignment_astray() {
    let net = resnet20(16);
    let shown = Shown::new(&net, 202, 0.05, 0.5, &[1, 2]);
    let mut ruined = shown.ticket.clone();
    let mut random = Random(9);
    for (carrier, mask) in &mut ruined.masks {
        let panel = shown.owner.chips(carrier, &shown.owner.marked_of(&shown.ticket)).panel;
        let public: Vec<usize> = (0..mask.size()).filter(|&p| panel[p] == 0).collect();
        let kept = public.iter().filter(|&&p| mask.keeps(p)).count();
        public.iter().for_each(|&p| mask.set(p, false));
        (0..kept).for_each(|_| mask.set(public[(random.bits() % public.len() as u64) as usize], true));
    }
    let report = shown.align(&permuted(&ruined.model(), &net, 5), true);
    assert_eq!(report.verdict, Verdict::Proven);
    let test = decided(&report);
    assert_eq!(test.alignment.as_ref().map(|a| a.on.as_str()), Some("0+1"));
    assert_eq!(test.panel, "2");
}

#[test]
fn filled_in_zeros_are_aligned_by_rank() {
    let net = resnet20(16);
    let shown = Shown::new(&net, 203, 0.05, 0.4, &[1, 2]);
    let mut filled = shown.ticket.model();
    let mut random = Random(10);
    change(&mut filled, |v| if v == 0.0 { 0.02 * random.weight() } else { v });
    let report = shown.align(&permuted(&filled, &net, 6), true);
    assert_eq!(report.verdict, Verdict::Proven);
    assert_eq!(decided(&report).reading.as_deref(), Some("aligned ranks"));
}

#[test]
fn mirrored_kernels_are_found_with_the_channels() {
    let net = resnet20(16);
    let shown = Shown::new(&net, 204, 0.05, 0.3, &[1, 2]);
    let mut mirrored = permuted(&shown.ticket.model(), &net, 7);
    for array in mirrored.arrays.values_mut() {
        array.values_mut().chunks_mut(3).for_each(|row| row.swap(0, 2));
    }
    let report = shown.align(&mirrored, true);
    assert_eq!(report.verdict, Verdict::Proven);
    assert_eq!(decided(&report).alignment.as_ref().and_then(|a| a.turn), Some("mirrored"));
}

/// Every group a quarter wider, the new channels filled like the others.
#[test]
fn dummy_channels_are_left_over() {
    let net = resnet20(16);
    let shown = Shown::new(&net, 205, 0.05, 0.3, &[1]);
    let wider = |shape: CarrierShape| CarrierShape { out: shape.out * 5 / 4, inp: shape.inp * 5 / 4, ..shape };
    let wide_net = resnet20(20);
    let shift = |layer: &Layer, [o, i]: [usize; 2]| {
        // Option A feeds the middle of a stream, so the dummies of a stream lie on both sides, as wide as before each.
        let pad = |group: usize, width: u32, c: usize| if is_stream(&net, group) { c + width as usize / 8 } else { c };
        Some(([pad(layer.to, layer.shape.out, o), pad(layer.from, layer.shape.inp, i)], 1.0))
    };
    let mut random = Random(11);
    let mut wide = relaid(&shown.ticket.model(), &net, shift, |layer| wider(layer.shape));
    for layer in net.layers() {
        let Some(array) = wide.arrays.get_mut(&layer.weight()) else { continue };
        let (shape, taps) = (wider(layer.shape), layer.shape.taps());
        let inside = |group, width: u32, c: usize| {
            let first = if is_stream(&net, group) { width as usize / 8 } else { 0 };
            (first..first + width as usize).contains(&c)
        };
        for (p, value) in array.values_mut().iter_mut().enumerate() {
            let (o, i) = (p / taps / shape.inp as usize, p / taps % shape.inp as usize);
            let is_dummy = !inside(layer.to, layer.shape.out, o) || !inside(layer.from, layer.shape.inp, i);
            if is_dummy && random.share() < 0.05 {
                *value = random.weight();
            }
        }
    }
    let report = shown.align(&permuted(&wide, &wide_net, 8), true);
    assert_eq!(report.verdict, Verdict::Proven, "{:?}", report.tests.last());
    assert_eq!(decided(&report).n, shown.owner.carried(&shown.ticket, PanelId::sealed(1).unwrap()).n());

    // No tensor stands for a carrier in place, and yet the densities at which the aligned ones are read could be chosen.
    let report = shown.align(&permuted(&wide, &wide_net, 8), false);
    let public = |test: &&TestReport| test.level == Level::Public && test.alignment.is_some();
    let public = report.tests.iter().find(public).expect("it was aligned");
    let any = |layer: &Layer| ((layer.shape.size() + 1) as f64).log2();
    let any: f64 = net.layers().iter().filter(|layer| layer.prunable).map(any).sum();
    let chosen = public.choice - public.alignment.as_ref().map_or(0, |alignment| alignment.bits);
    assert!(f64::from(chosen) > 2.0 + any, "{chosen}, {any}");
}

/// A ticket of whole channels, every other one of each group, thinned; then the channels that are gone are taken out.
#[test]
fn a_ticket_of_whole_channels_is_read_at_its_own_size() {
    let net = resnet20(16);
    let mut shown = Shown::new(&net, 211, 0.25, 0.0, &[1, 2]);
    shown.owner.method = StampingMethod::Thinning;
    let stays = |group: usize, channel: usize| group == 0 || channel.is_multiple_of(2);
    let layers = net.layers();
    let block = |name: &str, position: usize| {
        let layer = layers.iter().find(|layer| layer.weight() == name).unwrap();
        let (row, taps) = (layer.shape.row(), layer.shape.taps());
        stays(layer.to, position / row) && stays(layer.from, position % row / taps)
    };
    // Each carrier drops one in ten; how many is fixed before there are chips.
    let without = |mask: &mut Mask, name: &str, order: &mut dyn Iterator<Item = usize>| {
        *mask = Mask::from_fn(mask.size(), |position| block(name, position));
        let dropped = mask.kept() / 10;
        order.filter(|&p| block(name, p)).take(dropped).for_each(|p| mask.set(p, false));
    };
    for (carrier, mask) in &mut shown.ticket.masks {
        let size = mask.size();
        without(mask, &carrier.name, &mut (0..size));
    }
    let marked = shown.owner.marked_of(&shown.ticket);
    let mut random = Random(12);
    for (carrier, mask) in &mut shown.ticket.masks {
        let chips = shown.owner.chips(carrier, &marked).chip;
        let mut order: Vec<(u64, usize)> =
            (0..mask.size()).filter(|&p| chips[p] == -1).map(|p| (random.bits(), p)).collect();
        order.sort_unstable();
        without(mask, &carrier.name, &mut order.into_iter().map(|(_, position)| position));
    }
    assert_eq!(shown.owner.marked_of(&shown.ticket), marked);
    shown.claim = shown.owner.claim(&shown.ticket);
    shown.disclosures = shown.owner.disclose(&shown.ticket, &shown.claim, &[1, 2]);

    let compact_net = resnet20(8);
    let mut compact = relaid(
        &shown.ticket.model(),
        &net,
        |layer, [o, i]| {
            let to = |group: usize, c: usize| stays(group, c).then_some(if group == 0 { c } else { c / 2 });
            Some(([to(layer.to, o)?, to(layer.from, i)?], 1.0))
        },
        |layer| compact_net.layers().into_iter().find(|other| other.name == layer.name).unwrap().shape,
    );
    let report = shown.align(&permuted(&compact, &compact_net, 13), true);
    assert_eq!(report.verdict, Verdict::Proven, "{:?}", report.tests.last());
    let carried = [1, 2].map(|panel| shown.owner.carried(&shown.ticket, PanelId::sealed(panel).unwrap()));
    let (n, hits) = (carried[0].n() + carried[1].n(), carried[0].hits() + carried[1].hits());
    assert_eq!((decided(&report).n, decided(&report).hits), (n, hits));

    // Gaps filled with little: as many ranks as the ticket keeps are the same positions again.
    change(&mut compact, |v| if v == 0.0 { 1e-6 } else { v });
    let filled = permuted(&compact, &compact_net, 14);
    let report = shown.align(&filled, true);
    assert_eq!((decided(&report).reading.as_deref(), decided(&report).n), (Some("aligned ranks"), n));
    // That so many are read is the claim's word, for which 1 is paid besides the layout.
    let report = shown.align(&filled, false);
    let aligned = report.tests.iter().find(|t| t.level == Level::Sealed && t.alignment.is_some()).unwrap();
    assert_eq!(aligned.choice - aligned.alignment.as_ref().map_or(0, |alignment| alignment.bits), 4 + 1);
}

#[test]
fn kernels_in_a_larger_frame_are_cropped_and_shifts_are_undone() {
    let net = resnet20(16);
    let shown = Shown::new(&net, 210, 0.05, 0.3, &[1, 2]);
    let model = permuted(&shown.ticket.model(), &net, 12);
    let whole = shown.align(&model, true);
    for (shift, share) in [(None, 1.0), (Some(3), 0.95)] {
        let report = shown.align(&framed(&model, &net, shift), true);
        assert_eq!(report.verdict, Verdict::Proven);
        let (found, expected) = (decided(&report), decided(&whole));
        eprintln!("{shift:?} {} of {} {:?}", found.n, expected.n, found.log2_p);
        assert!(found.n as f64 >= share * expected.n as f64, "{shift:?}: {} of {}", found.n, expected.n);
    }
    // Each of the hidden channels could have had nine shifts.
    let bits = |model: &Model| {
        let report = shown.align(model, false);
        report.tests.iter().find_map(|t| t.alignment.as_ref().map(|a| a.bits)).unwrap()
    };
    let channels = f64::from(4 * (16 + 32 + 64));
    assert_eq!(bits(&framed(&model, &net, Some(3))), (1831.6314 + 3.0 + channels * 9f64.log2()).ceil() as u32);
}

#[test]
fn a_stranger_is_cleared_if_the_ticket_itself_would_have_been_found() {
    let net = resnet20(16);
    let shown = Shown::new(&net, 206, 0.05, 0.3, &[1, 2]);
    let stranger = Shown::new(&net, 207, 0.05, 0.3, &[]).ticket.model();
    for is_older in [true, false] {
        let report = shown.align(&stranger, is_older);
        assert_eq!(report.verdict, Verdict::NoMatch);
        let controls = report.tests.iter().filter(|t| t.decisive).filter_map(|t| t.alignment.as_ref()?.control);
        assert_eq!(controls.collect::<Vec<_>>(), [true; 4]);
    }
    // So sparse a stranger could be the ticket cut down, and no longer be found.
    let report = shown.align(&pruned(&stranger, 0.97, 1), true);
    assert_eq!(report.verdict, Verdict::Inconclusive);
}

#[test]
fn networks_that_cannot_be_followed_are_inconclusive() {
    let net = resnet20(8);
    let shown = Shown::new(&net, 208, 0.1, 0.3, &[1, 2]);
    let stranger = Shown::new(&net, 209, 0.1, 0.0, &[]).ticket.model();
    let mut more = rename(stranger, |name| format!("x.{name}"));
    more.arrays.insert("y".to_owned(), array(&[3, 3], vec![1.0; 9]));
    let report = shown.align(&more, true);
    assert_eq!(report.verdict, Verdict::Inconclusive);
    let reason = "channels were not aligned: the suspect's tensors do not fit the layers of the claim's network";
    assert!(report.skipped.iter().any(|s| s.reason == reason), "{:?}", report.skipped);
}
