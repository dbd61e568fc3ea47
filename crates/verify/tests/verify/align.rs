//! Marks under permuted channels.

use counterfoil_claim::PanelId;
use counterfoil_mark::{Chance, log2_upper_tail};
use counterfoil_verify::{Level, Verdict};

use crate::align_kit::{Shown, permuted, pruned, resnet20};
use crate::kit::{Random, change, decided, look};

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
    // What reading in place gives where nothing was permuted; three aligned readings cost 3 bits, and zeros 1.
    let full = look(&in_place, &shown.evidence());
    assert_eq!((test.n, test.hits, test.charge), (decided(&full).n, decided(&full).hits, 3));
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
    assert_eq!(aligned.charge, 1835 + 3);
    assert!(report.stronger[0].contains("costs 1835 bits less"), "{:?}", report.stronger);
}
