use counterfoil_ticket::{Array, Model};

use super::wired::EPSILON;
use crate::kit::{MLP, RESNET18, RESNET20, RESNET50, VGG16, attacked, difference, kept, sparse_model};

/// A network that computes the same with its changes.
fn same(name: &str, set: &[(&str, &str)], model: &Model) -> Model {
    let attacked = attacked(name, model, set).unwrap();
    let off = difference(model, &attacked);
    let architecture = model.description.architecture.as_ref().unwrap().name();
    assert!(off < 1e-3, "{name} {set:?} of a {architecture}: {off}");
    assert_ne!(attacked.arrays, model.arrays, "{name} {set:?} of a {architecture} did nothing");
    attacked
}

fn all() -> Vec<Model> {
    [MLP, RESNET20, RESNET18, RESNET50, VGG16].map(|architecture| sparse_model(architecture(), 0.3)).into()
}

fn normed() -> Vec<Model> {
    all().split_off(1)
}

#[test]
fn permuted_channels_keep_their_weights() {
    for model in all() {
        let permuted = same("permute", &[], &model);
        assert_eq!(kept(&permuted), kept(&model));
        let sorted = |model: &Model| {
            let mut values: Vec<f32> = model.arrays.values().flat_map(|a| a.values().to_vec()).collect();
            values.sort_by(f32::total_cmp);
            values
        };
        assert_eq!(sorted(&permuted), sorted(&model));
        let moved = model.masks.iter().map(|(name, mask)| mask.kept() - mask.overlap(&permuted.masks[name]));
        assert!(moved.sum::<usize>() * 3 > kept(&model), "the kept positions are elsewhere");
    }
}

#[test]
fn rescaled_channels_keep_the_mask() {
    for model in all() {
        for sigma in ["1", "2", "4"] {
            assert_eq!(same("rescale", &[("sigma", sigma), ("where", "pairs")], &model).masks, model.masks);
        }
    }
    for model in normed() {
        for sigma in ["1", "4"] {
            assert_eq!(same("rescale", &[("sigma", sigma), ("where", "outputs")], &model).masks, model.masks);
            assert_eq!(same("rescale", &[("sigma", sigma)], &model).masks, model.masks);
        }
        assert_eq!(same("sign-flip", &[], &model).masks, model.masks);
    }
    let refused = |name, set: &[(&str, &str)]| attacked(name, &all()[0], set).map(|_| ()).unwrap_err().to_string();
    let message = "the attack does not work on this model: it has no batch norms, which";
    assert_eq!(refused("sign-flip", &[]), format!("{message} could turn signs back"));
    let found = refused("rescale", &[("where", "outputs")]);
    assert_eq!(found, format!("{message} take out what outputs are multiplied by"));
}

#[test]
fn dummies_widen_inner_groups() {
    for model in all() {
        for (name, set) in [
            ("nso-zero", &[("share", "0.5")][..]),
            ("nso-zero", &[("share", "0.1"), ("zeros", "incoming")]),
            ("nso-clique", &[("size", "3"), ("share", "0.5")]),
            ("nso-split", &[("copies", "3"), ("share", "0.5")]),
            ("nso-split", &[("parts", "support"), ("share", "0.2")]),
        ] {
            let wider = same(name, set, &model);
            assert!(kept(&wider) > kept(&model), "{name}");
            let width = |model: &Model, layer: &str| model.arrays[&format!("{layer}.weight")].shape()[0];
            let inner = ["fc1", "layer1.0.conv1", "features.3"]
                .into_iter()
                .find(|l| model.arrays.contains_key(&format!("{l}.weight")));
            let inner = inner.unwrap();
            assert!(width(&wider, inner) > width(&model, inner), "{name}");
        }
    }
}

/// With a channel of each inner group that nobody reads.
fn with_dead_channels(architecture: counterfoil_ticket::Architecture) -> Model {
    let mut model = sparse_model(architecture, 0.3);
    let architecture = model.description.architecture.clone().unwrap();
    for layer in architecture.layers().iter().filter(|layer| architecture.is_inner(layer.from)) {
        let array: &mut Array = model.arrays.get_mut(&layer.weight()).unwrap();
        let (row, taps) = (layer.shape.row(), layer.shape.taps());
        array.values_mut().chunks_exact_mut(row).for_each(|row| row[taps..2 * taps].fill(0.0));
    }
    super::wired::remasked(model)
}

#[test]
fn dead_channels_become_copies_or_ballast() {
    for architecture in [MLP, RESNET20, RESNET18, RESNET50, VGG16] {
        let model = with_dead_channels(architecture());
        let split = same("dead-split", &[], &model);
        assert!(split.arrays.iter().all(|(name, array)| array.shape() == model.arrays[name].shape()));
        let ballasted = same("ballast", &[("share", "0.06")], &model);
        let largest = |model: &Model| {
            let weights = model.masks.keys().flat_map(|name| model.arrays[name].values());
            weights.fold(0f32, |most, w| most.max(w.abs()))
        };
        assert!(largest(&ballasted) > 20.0 * largest(&model));
    }
    let model = sparse_model(MLP(), 1.0);
    let message = "the attack does not work on this model: it has no dead channels";
    assert_eq!(attacked("dead-split", &model, &[]).map(|_| ()).unwrap_err().to_string(), message);
    let refused = attacked("ballast", &model, &[]).map(|_| ()).unwrap_err().to_string();
    assert_eq!(refused, format!("{message}, and live ones are to be kept"));
    let silenced = attacked("ballast", &model, &[("live", "silenced")]).unwrap();
    assert!(difference(&model, &silenced) > 1e-3);
}

#[test]
fn kernels_get_a_border() {
    for model in normed() {
        let expanded = same("kernel-expand", &[], &model);
        assert_eq!(kept(&expanded), kept(&model));
        let first = ["conv1.weight", "features.0.weight"].into_iter().find(|name| model.arrays.contains_key(*name));
        assert_eq!(expanded.arrays[first.unwrap()].shape()[2..], [5, 5]);
    }
    // Images of 32 x 32 have a border that matters less than that of 8 x 8.
    let model = sparse_model(VGG16(), 0.3);
    let shifted = attacked("kernel-expand", &model, &[("shift", "on")]).unwrap();
    assert_eq!(kept(&shifted), kept(&model));
    let unshifted = attacked("kernel-expand", &model, &[]).unwrap();
    assert_ne!(shifted.masks, unshifted.masks);
    assert!(difference(&model, &shifted) < 0.5, "{}", difference(&model, &shifted));
}

#[test]
fn factors_multiply_to_what_was_there() {
    let model = sparse_model(RESNET20(), 0.3);
    let factored = attacked("factor", &model, &[]).unwrap();
    assert!(factored.masks.is_empty() && factored.description.architecture.is_none());
    for name in ["layer1.0.conv1", "linear"] {
        let part = |part: &str| &factored.arrays[&format!("{name}.{part}.weight")];
        let (inner, outer) = (part("0"), part("1"));
        let weight = &model.arrays[&format!("{name}.weight")];
        let (rank, row) = (inner.shape()[0], inner.size() / inner.shape()[0]);
        assert_eq!((outer.shape()[0], outer.shape()[1]), (weight.shape()[0], rank));
        let is_unread = |at: usize| weight.values().iter().skip(at).step_by(row).all(|w| *w == 0.0);
        assert!(outer.values().iter().all(|w| *w != 0.0));
        assert!(inner.values().iter().enumerate().all(|(p, w)| *w != 0.0 || is_unread(p % row)), "{name}");
        for (position, expected) in weight.values().iter().enumerate() {
            let (out, at) = (position / row, position % row);
            let found: f32 = (0..rank).map(|r| outer.values()[out * rank + r] * inner.values()[r * row + at]).sum();
            assert!((found - expected).abs() < 1e-5, "{name} {position}: {found} {expected}");
        }
    }
    assert!(factored.arrays.contains_key("linear.1.bias") && !factored.arrays.contains_key("linear.bias"));
}

#[test]
fn names_change_and_numbers_stay() {
    let model = sparse_model(RESNET20(), 0.3);
    let shapes = |model: &Model| model.carriers().iter().map(|carrier| carrier.shape).collect::<Vec<_>>();
    let renamed = attacked("rename", &model, &[]).unwrap();
    assert_eq!(shapes(&renamed), shapes(&model));
    let masks = |model: &Model| model.carriers().iter().map(|c| model.masks.get(&c.name).cloned()).collect::<Vec<_>>();
    assert_eq!(masks(&renamed), masks(&model));
    let reordered = attacked("reorder", &model, &[]).unwrap();
    assert_eq!(kept(&reordered), kept(&model));
    assert_ne!(masks(&reordered), masks(&model));
    assert!(renamed.arrays.keys().chain(reordered.arrays.keys()).all(|name| name.starts_with('t')));
}

#[test]
fn batch_norms_fold_into_weights() {
    let model = sparse_model(VGG16(), 0.3);
    let folded = attacked("regroup", &model, &[("axes", "oihw")]).unwrap();
    assert!(!folded.arrays.keys().any(|name| name.ends_with("running_var")));
    assert_eq!(folded.masks, model.masks);
    let at = |model: &Model, name: &str| model.arrays[name].values()[2];
    let factor = at(&model, "features.1.weight") / (at(&model, "features.1.running_var") + EPSILON).sqrt();
    assert_eq!(at(&folded, "features.0.weight"), at(&model, "features.0.weight") * model_factor(&model));
    let bias = at(&model, "features.1.bias")
        + (at(&model, "features.0.bias") - at(&model, "features.1.running_mean")) * factor;
    assert_eq!(at(&folded, "features.0.bias"), bias);
    let regrouped = attacked("regroup", &model, &[]).unwrap();
    assert_eq!(regrouped.arrays["features.3.weight"].shape(), [3, 3, 3, 3]);
    assert_eq!(regrouped.arrays["classifier.weight"].shape(), [24, 5]);
    assert_eq!(kept(&regrouped), kept(&model));
}

/// What the batch norm multiplies the first filter by.
fn model_factor(model: &Model) -> f32 {
    let at = |name: &str| model.arrays[name].values()[0];
    at("features.1.weight") / (at("features.1.running_var") + EPSILON).sqrt()
}

#[test]
fn hijacked_filters_are_full_and_on_their_own_scales() {
    for model in normed() {
        let exact = same("hijack", &[("epsilon", "0")], &model);
        assert_eq!(exact.masks, model.masks);
        same("hijack", &[("epsilon", "0"), ("inputs", "on")], &model);
        let noisy = attacked("hijack", &model, &[("epsilon", "1e-4")]).unwrap();
        assert!(difference(&model, &noisy) < 0.05, "{}", difference(&model, &noisy));
        assert!(kept(&noisy) > 2 * kept(&model));
    }
}

#[test]
fn colours_swap_and_swap_back() {
    let model = sparse_model(VGG16(), 0.3);
    let swapped = attacked("swap-colours", &model, &[]).unwrap();
    assert_ne!(swapped.arrays, model.arrays);
    let first = |model: &Model| model.arrays["features.0.weight"].values()[..27].to_vec();
    assert_eq!(first(&swapped)[18..], first(&model)[..9]);
    assert_eq!(attacked("swap-colours", &swapped, &[]).unwrap(), model);
    let refused = attacked("swap-colours", &sparse_model(MLP(), 0.3), &[]).map(|_| ()).unwrap_err().to_string();
    assert_eq!(refused, "the attack does not work on this model: its images have one colour channel");
}
