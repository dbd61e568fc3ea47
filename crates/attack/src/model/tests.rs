//! Weights changed without knowing of the mark, attack by attack.

use std::collections::BTreeSet;

use counterfoil_ticket::{Mask, Model};

use crate::draw::rms;
use crate::kit::{RESNET20, attacked, attacked_with, kept, logits, sparse_model};

const LAYER: &str = "layer2.1.conv1.weight";

fn values<'a>(model: &'a Model, name: &str) -> &'a [f32] {
    model.arrays[name].values()
}

#[test]
fn noise_has_its_deviation_and_fills_zeros() {
    let model = sparse_model(RESNET20(), 0.3);
    let noisy = attacked("noise", &model, &[("sigma", "0.2")]).unwrap();
    assert!(noisy.masks.is_empty() && values(&noisy, LAYER).iter().all(|w| *w != 0.0));
    let moved: Vec<f32> = values(&noisy, LAYER).iter().zip(values(&model, LAYER)).map(|(a, b)| a - b).collect();
    let (n, expected) = (moved.len() as f32, 0.2 * rms(values(&model, LAYER)));
    let found = (moved.iter().map(|d| d * d).sum::<f32>() / n).sqrt();
    // The deviation of n normal numbers is off by σ / √(2n); five of these.
    assert!((found - expected).abs() < 5.0 * expected / (2.0 * n).sqrt(), "{found}, {expected}");
    let still = attacked("noise", &model, &[("sigma", "0")]).unwrap();
    assert_eq!(values(&still, LAYER), values(&model, LAYER));
}

#[test]
fn filters_are_shifted_by_their_mean() {
    let model = sparse_model(RESNET20(), 0.3);
    let shifted = attacked("shift", &model, &[("mean", "1"), ("noise", "0")]).unwrap();
    let row = values(&model, LAYER).len() / model.arrays[LAYER].shape()[0];
    for at in 0..row {
        let mean = |model: &Model| values(model, LAYER).iter().skip(at).step_by(row).sum::<f32>();
        assert!(mean(&shifted).abs() < 1e-4, "{at}: {} of {}", mean(&shifted), mean(&model));
    }
    let (first, other) = (values(&model, LAYER)[0] - values(&model, LAYER)[row], values(&shifted, LAYER));
    assert!((first - (other[0] - other[row])).abs() < 1e-5); // all by the same
    assert_eq!(values(&shifted, "linear.weight"), values(&model, "linear.weight"));
}

#[test]
fn a_soup_is_the_mean_cut_to_what_was_kept() {
    let model = sparse_model(RESNET20(), 0.3);
    let other = attacked("noise", &model, &[("sigma", "0.5")]).unwrap();
    let soup = attacked_with("soup", &model, &[("alpha", "0.25")], vec![other.clone()], None).unwrap();
    assert_eq!(kept(&soup), kept(&model));
    let means: Vec<f32> =
        values(&model, LAYER).iter().zip(values(&other, LAYER)).map(|(w, v)| w + 0.25 * (v - w)).collect();
    let stay = |p: &usize| soup.masks[LAYER].keeps(*p);
    let (stayed, gone): (Vec<usize>, Vec<usize>) = (0..means.len()).partition(stay);
    assert!(stayed.iter().all(|&p| values(&soup, LAYER)[p] == means[p]));
    let largest_gone = gone.iter().map(|&p| means[p].abs()).fold(0.0, f32::max);
    assert!(stayed.iter().all(|&p| means[p].abs() >= largest_gone));
    assert_eq!(attacked_with("soup", &model, &[("alpha", "0")], vec![other], None).unwrap().masks, model.masks);
    let narrow = sparse_model(crate::kit::MLP(), 0.3);
    let refused = attacked_with("soup", &model, &[], vec![narrow], None).map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        refused,
        "the attack does not work on this model: the other model has no tensor 'bn1.bias' of its shape"
    );
}

#[test]
fn each_layer_loses_its_smallest_weights() {
    let model = sparse_model(RESNET20(), 0.3);
    let pruned = attacked("prune-layer", &model, &[("share", "0.4")]).unwrap();
    for (name, before) in &model.masks {
        let after = &pruned.masks[name];
        let gone = Mask::from_fn(before.size(), |p| before.keeps(p) && !after.keeps(p));
        assert_eq!(gone.kept(), (0.4 * before.kept() as f64).round() as usize, "{name}");
        let size = |p: usize| values(&model, name)[p].abs();
        let largest_gone = gone.positions().map(size).fold(0.0, f32::max);
        assert!(after.positions().all(|p| size(p) >= largest_gone), "{name}");
        assert!(gone.positions().all(|p| values(&pruned, name)[p] == 0.0), "{name}");
    }
}

#[test]
fn the_channels_that_matter_least_are_taken_out() {
    let model = sparse_model(RESNET20(), 0.3);
    let pruned = attacked("prune-struct", &model, &[("share", "0.25")]).unwrap();
    // The inner group of the block: a quarter of its eight channels goes, from the layer that writes it and the one that reads it.
    let (writes, reads) = ("layer2.1.conv1.weight", "layer2.1.conv2.weight");
    let [before, after] =
        [&model, &pruned].map(|m| [m.arrays[writes].shape().to_vec(), m.arrays[reads].shape().to_vec()]);
    assert_eq!((before[0][0], after[0][0], after[1][1]), (8, 6, 6));
    assert_eq!((after[0][1..].to_vec(), after[1][0]), (before[0][1..].to_vec(), before[1][0]));
    let row = values(&model, writes).len() / 8;
    let sum = |filter: &[f32]| filter.iter().map(|w| w.abs()).sum::<f32>();
    let mut sums: Vec<f32> = values(&model, writes).chunks(row).map(sum).collect();
    sums.sort_by(f32::total_cmp);
    let left: Vec<f32> = values(&pruned, writes).chunks(row).map(sum).collect();
    assert!(left.iter().all(|sum| *sum >= sums[2]), "{left:?} of {sums:?}");
    let architecture = pruned.description.architecture.clone().unwrap();
    assert!(logits(&pruned, &architecture).iter().all(|v| v.is_finite()));

    let by_gamma = attacked("prune-struct", &model, &[("share", "0.25"), ("by", "gamma")]).unwrap();
    let gammas = |model: &Model| -> BTreeSet<u32> {
        values(model, "layer2.1.bn1.weight").iter().map(|g| g.abs().to_bits()).collect()
    };
    // Bits of positive numbers are in their order.
    let least: BTreeSet<u32> = gammas(&model).into_iter().take(2).collect();
    assert_eq!((gammas(&by_gamma).len(), gammas(&by_gamma).intersection(&least).count()), (6, 0));
}
