//! The same layer as plain loops in double precision, and the tests of the kernels against it.

use proptest::prelude::*;

use crate::blocked::{from_images, to_images};
use crate::{
    ByInput, Connections, Conv, ConvNorm, EPSILON, Folded, Gradients, Input, Kernels, Parameters, Planes, Saved,
    Shortcut, Statistics,
};

/// A layer with everything that goes in, images as `[images, channels, height, width]`.
#[derive(Debug, Clone)]
struct Case {
    conv: Conv,
    kept: Vec<bool>,
    shortcut: Option<Shortcut>,
    relu: bool,
    images: usize,
    x: Vec<f32>,
    added: Vec<f32>,
    weight: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    dy: Vec<f32>,
}

/// What comes out, in double precision.
struct Expected {
    /// What the layer's ReLU is given.
    before: Vec<f64>,
    y: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
    /// By what the layer's ReLU is given.
    g: Vec<f32>,
    /// By what the ReLU before the layer is given.
    dx: Vec<f64>,
    dadded: Vec<f64>,
    dweight: Vec<f64>,
    /// Largest sum of absolute products of an input's, a weight's, a scale's and a shift's gradient: such sums cancel, so
    /// this is what rounding is relative to.
    gross: [f64; 4],
    dgamma: Vec<f64>,
    dbeta: Vec<f64>,
}

impl Case {
    fn layer(&self) -> ConvNorm {
        let connections = Connections::new(self.conv, Some(&self.kept)).into();
        ConvNorm { connections, shortcut: self.shortcut, relu: self.relu }
    }

    fn parameters(&self) -> Parameters<'_> {
        Parameters { weight: &self.weight, gamma: &self.gamma, beta: &self.beta }
    }

    /// Calls `each(input index, weight index, output index)` for every product of the convolution.
    fn products(&self, mut each: impl FnMut(usize, usize, usize)) {
        let conv = &self.conv;
        let (rows, columns, [kernel_rows, kernel_columns]) = (conv.height_out(), conv.width_out(), conv.kernel);
        for n in 0..self.images {
            for out in 0..conv.channels_out {
                let first = out / conv.group_out() * conv.group_in();
                for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
                    for inp in 0..conv.group_in() {
                        for (k, l) in (0..kernel_rows).flat_map(|k| (0..kernel_columns).map(move |l| (k, l))) {
                            let (row, column) = (i * conv.stride + k, j * conv.stride + l);
                            let inside = |at: usize, size: usize| (conv.padding..size + conv.padding).contains(&at);
                            if inside(row, conv.height) && inside(column, conv.width) {
                                let (row, column) = (row - conv.padding, column - conv.padding);
                                let x =
                                    ((n * conv.channels_in + first + inp) * conv.height + row) * conv.width + column;
                                let w = ((out * conv.group_in() + inp) * kernel_rows + k) * kernel_columns + l;
                                each(x, w, ((n * conv.channels_out + out) * rows + i) * columns + j);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Index of the shortcut's value that is added to output `at`.
    fn added_at(&self, at: usize) -> Option<usize> {
        let (rows, columns, channels) = (self.conv.height_out(), self.conv.width_out(), self.conv.channels_out);
        let (n, c) = (at / (channels * rows * columns), at / (rows * columns) % channels);
        let (i, j) = (at / columns % rows, at % columns);
        match self.shortcut? {
            Shortcut::Identity => Some(at),
            Shortcut::Subsampled { channels: inner, height, width, step } => {
                let c = c.checked_sub((channels - inner) / 2).filter(|&c| c < inner)?;
                Some(((n * inner + c) * height + i * step) * width + j * step)
            }
        }
    }

    fn expected(&self) -> Expected {
        let channels = self.conv.channels_out;
        let plane = self.conv.height_out() * self.conv.width_out();
        let mut z = vec![0.0; self.dy.len()];
        self.products(|x, w, out| z[out] += f64::from(self.x[x]) * f64::from(self.weight[w]));
        let channel = |at: usize| at / plane % channels;
        let count = (self.images * plane) as f64;
        let by_channel = |values: &dyn Fn(usize) -> f64| {
            let mut sums = vec![0.0; channels];
            (0..z.len()).for_each(|at| sums[channel(at)] += values(at));
            sums
        };
        let mean: Vec<f64> = by_channel(&|at| z[at]).iter().map(|sum| sum / count).collect();
        let variance = by_channel(&|at| (z[at] - mean[channel(at)]).powi(2));
        let variance: Vec<f64> = variance.iter().map(|sum| sum / count).collect();
        let normed = |at: usize| (z[at] - mean[channel(at)]) / (variance[channel(at)] + EPSILON).sqrt();
        let before_relu = |at: usize| {
            let added = self.added_at(at).map_or(0.0, |a| f64::from(self.added[a]));
            normed(at) * f64::from(self.gamma[channel(at)]) + f64::from(self.beta[channel(at)]) + added
        };
        let before: Vec<f64> = (0..z.len()).map(before_relu).collect();
        let y: Vec<f64> = before.iter().map(|v| if self.relu { v.max(0.0) } else { *v }).collect();
        let held_back = |at: usize| if self.relu && y[at] <= 0.0 { 0.0 } else { self.dy[at] };
        let given: Vec<f32> = (0..z.len()).map(held_back).collect();
        let g = |at: usize| f64::from(given[at]);
        let dbeta = by_channel(&g);
        let dgamma = by_channel(&|at| g(at) * normed(at));
        let dz = |at: usize| {
            let c = channel(at);
            let factor = f64::from(self.gamma[c]) / (variance[c] + EPSILON).sqrt();
            factor * (g(at) - dbeta[c] / count - normed(at) * dgamma[c] / count)
        };
        let gross_dz = |at: usize| {
            let c = channel(at);
            let factor = f64::from(self.gamma[c]) / (variance[c] + EPSILON).sqrt();
            factor * (g(at).abs() + dbeta[c].abs() / count + (normed(at) * dgamma[c]).abs() / count)
        };
        let (mut dx, mut dweight) = (vec![0.0; self.x.len()], vec![0.0; self.weight.len()]);
        let (mut gross_dx, mut gross_dweight) = (dx.clone(), dweight.clone());
        self.products(|x, w, out| {
            let (dz, gross) = (dz(out), gross_dz(out));
            dx[x] += dz * f64::from(self.weight[w]);
            dweight[w] += dz * f64::from(self.x[x]);
            gross_dx[x] += gross * f64::from(self.weight[w].abs());
            gross_dweight[w] += gross * f64::from(self.x[x].abs());
        });
        dx.iter_mut().zip(&self.x).filter(|(_, x)| **x <= 0.0).for_each(|(dx, _)| *dx = 0.0);
        let most = |values: &[f64]| values.iter().fold(0.0f64, |most, v| most.max(*v));
        let gross_dgamma = by_channel(&|at| (g(at) * normed(at)).abs());
        let gross_dbeta = by_channel(&|at| g(at).abs());
        let gross = [&gross_dx, &gross_dweight, &gross_dgamma, &gross_dbeta].map(|values| most(values).max(1e-3));
        let mut dadded = vec![0.0; self.added.len()];
        (0..z.len()).for_each(|at| {
            if let Some(a) = self.added_at(at) {
                dadded[a] += g(at)
            }
        });
        Expected { before, y, mean, variance, g: given, dx, dadded, dweight, gross, dgamma, dbeta }
    }
}

/// Numbers that are neither too even nor too random, by position.
fn numbers(count: usize, salt: u64) -> Vec<f32> {
    let mut state = salt.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn cases() -> impl Strategy<Value = Case> {
    cases_of((1..4usize, 1..4usize, 0..3usize))
}

/// With kernels (rows, columns, padding) of these.
fn cases_of(kernels: impl Strategy<Value = (usize, usize, usize)>) -> impl Strategy<Value = Case> {
    let shapes = (1..3usize, 1..6usize, 1..6usize, 3..11usize, 3..11usize, kernels);
    let rest = (1..4usize, 0..5usize, any::<bool>(), 1..40usize, 0..3u8, any::<u64>());
    (shapes, rest).prop_map(|(shapes, rest)| {
        let (groups, group_in, group_out, height, width, (kernel_rows, kernel_columns, padding)) = shapes;
        let (stride, density, relu, images, shortcut, salt) = rest;
        let conv = Conv {
            channels_in: groups * group_in,
            channels_out: groups * group_out,
            height,
            width,
            kernel: [kernel_rows, kernel_columns],
            stride,
            padding,
            groups,
        };
        let (rows, columns) = (conv.height_out(), conv.width_out());
        let shortcut = match shortcut {
            0 => None,
            1 => Some(Shortcut::Identity),
            _ => Some(Shortcut::Subsampled {
                channels: (conv.channels_out / 2).max(1),
                height: 2 * rows,
                width: 2 * columns - 1,
                step: 2,
            }),
        };
        let added = match shortcut {
            None => 0,
            Some(Shortcut::Identity) => conv.channels_out * rows * columns,
            Some(Shortcut::Subsampled { channels, height, width, .. }) => channels * height * width,
        };
        // Density 0 keeps nothing, 4 everything.
        let draws = numbers(conv.weights(), salt ^ 1);
        let kept: Vec<bool> = draws.iter().map(|v| (v + 1.0) * 2.0 < density as f32).collect();
        let weight = numbers(conv.weights(), salt ^ 2).into_iter().zip(&kept).map(|(w, k)| if *k { w } else { 0.0 });
        Case {
            conv,
            shortcut,
            relu,
            images,
            // Behind a ReLU.
            x: numbers(images * conv.channels_in * height * width, salt ^ 3).iter().map(|v| v.max(0.0)).collect(),
            added: numbers(images * added, salt ^ 4),
            weight: weight.collect(),
            kept,
            gamma: numbers(conv.channels_out, salt ^ 5).iter().map(|v| v + 1.5).collect(),
            beta: numbers(conv.channels_out, salt ^ 6),
            dy: numbers(images * conv.channels_out * rows * columns, salt ^ 7),
        }
    })
}

/// Everything within `1e-4` of the largest expected value of its kind.
fn assert_near(what: &str, found: &[f32], expected: &[f64]) {
    assert_near_scale(what, found, expected, expected.iter().fold(1e-3f64, |most, v| most.max(v.abs())));
}

fn assert_near_scale(what: &str, found: &[f32], expected: &[f64], scale: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(*found) - expected).abs() <= 1e-4 * scale, "{what}[{i}]: {found} for {expected}");
    }
}

fn check(kernels: Kernels, case: &Case) {
    let expected = case.expected();
    // A plane without variance has no gradient to agree on.
    if expected.variance.iter().any(|v| *v > 0.0 && *v < 1e-4) {
        return;
    }
    let lanes = kernels.lanes();
    let per_image = |values: &[f32]| values.len() / case.images;
    let block = |values: &[f32]| from_images(values, per_image(values).max(1), lanes);
    let (layer, parameters) = (case.layer(), case.parameters());
    let (x, added, dy) = (block(&case.x), block(&case.added), block(&expected.g));
    let added = case.shortcut.map(|_| &added[..]);
    let unblock = |values: &[f32], size: usize| to_images(values, case.images, size, lanes);

    let x = Input { values: &x, lines: None };
    let trained = kernels.train(&layer, case.images, x, added, parameters, true);
    let y = trained.y.unwrap();
    assert_near("y", &unblock(&y, per_image(&case.dy)), &expected.y);
    assert_near("mean", &trained.statistics.mean, &expected.mean);
    assert_near("variance", &trained.statistics.variance, &expected.variance);
    let behind: f32 = y.iter().map(|v| v.abs()).sum();
    let images: f32 = unblock(&y, per_image(&case.dy)).iter().map(|v| v.abs()).sum();
    assert!((behind - images).abs() <= 1e-3 * images.max(1.0), "lanes without an image are not 0");

    let saved = Saved { x, z: &trained.z, statistics: &trained.statistics };
    let backward = |by_input| kernels.backward(&layer, case.images, saved, parameters, &dy, by_input);
    let gradients = backward(ByInput::Found);
    let [gross_dx, gross_dweight, gross_dgamma, gross_dbeta] = expected.gross;
    let dx = |found: Gradients| unblock(&found.x.unwrap(), per_image(&case.x));
    assert_near_scale("dx", &dx(gradients.clone()), &expected.dx, gross_dx);
    let others = numbers(case.x.len(), 8);
    let sums = expected.dx.iter().zip(&others).zip(&case.x);
    let sums: Vec<f64> = sums.map(|((dx, &other), x)| if *x > 0.0 { dx + f64::from(other) } else { 0.0 }).collect();
    let added = backward(ByInput::Added(block(&others)));
    assert!(added.weight == gradients.weight);
    assert_near_scale("dx with others'", &dx(added), &sums, gross_dx.max(1.0));
    // Where most weights are kept, those that are not get a gradient too.
    let of_kept = |(gradient, kept): (f32, &bool)| if *kept { gradient } else { 0.0 };
    let found: Vec<f32> = gradients.weight.iter().copied().zip(&case.kept).map(of_kept).collect();
    let of_kept = |(gradient, kept): (&f64, &bool)| if *kept { *gradient } else { 0.0 };
    let wanted: Vec<f64> = expected.dweight.iter().zip(&case.kept).map(of_kept).collect();
    assert_near_scale("dweight", &found, &wanted, gross_dweight);
    assert_near_scale("dgamma", &gradients.gamma, &expected.dgamma, gross_dgamma);
    assert_near_scale("dbeta", &gradients.beta, &expected.dbeta, gross_dbeta);
    let subsampled = matches!(case.shortcut, Some(Shortcut::Subsampled { .. }));
    assert_eq!(gradients.shortcut.is_some(), subsampled);
    if let Some(dadded) = &gradients.shortcut {
        assert_near("dadded", &unblock(dadded, per_image(&case.added)), &expected.dadded);
    }
    let again = backward(ByInput::No);
    assert!(again.x.is_none() && again.weight == gradients.weight);
}

/// A case's loss is the sum of its outputs times `dy`, in double precision.
fn loss(case: &Case) -> f64 {
    case.expected().y.iter().zip(&case.dy).map(|(y, dy)| y * f64::from(*dy)).sum()
}

/// Gradients of the kernels against central differences of the plain loops' loss.
fn check_differences(kernels: Kernels, mut case: Case) {
    // Two float32 steps apart by exactly 2 h; their truncation is h² / 6 of a third derivative.
    const H: f32 = 1.0 / 1024.0;
    let expected = case.expected();
    if expected.variance.iter().any(|v| *v > 0.0 && *v < 0.05) {
        return;
    }
    // No pixel counts that such a step may carry over the kink of its ReLU.
    for (dy, before) in case.dy.iter_mut().zip(&expected.before) {
        *dy = if case.relu && before.abs() < 0.05 { 0.0 } else { *dy };
    }
    let expected = case.expected();
    let lanes = kernels.lanes();
    let block = |values: &[f32]| from_images(values, (values.len() / case.images).max(1), lanes);
    let (layer, parameters) = (case.layer(), case.parameters());
    let (x, added, dy) = (block(&case.x), block(&case.added), block(&expected.g));
    let x = Input { values: &x, lines: None };
    let added = case.shortcut.map(|_| &added[..]);
    let trained = kernels.train(&layer, case.images, x, added, parameters, false);
    let saved = Saved { x, z: &trained.z, statistics: &trained.statistics };
    let found = kernels.backward(&layer, case.images, saved, parameters, &dy, ByInput::Found);
    let dx = to_images(&found.x.unwrap(), case.images, case.x.len() / case.images, lanes);
    let kept = |at: usize| case.kept[at];
    let [gross_dx, gross_dweight, gross_dgamma, gross_dbeta] = expected.gross;
    type Field = fn(&mut Case) -> &mut Vec<f32>;
    type Counts<'a> = &'a dyn Fn(usize) -> bool;
    let fields: [(&str, Field, &[f32], f64, Counts); 4] = [
        ("x", |case| &mut case.x, &dx, gross_dx, &|at| case.x[at] > H),
        ("weight", |case| &mut case.weight, &found.weight, gross_dweight, &kept),
        ("gamma", |case| &mut case.gamma, &found.gamma, gross_dgamma, &|_| true),
        ("beta", |case| &mut case.beta, &found.beta, gross_dbeta, &|_| true),
    ];
    for (name, field, gradient, gross, counts) in fields {
        // Three of each, far apart.
        let step = gradient.len() / 3 + 1;
        for at in (0..gradient.len()).step_by(step).filter(|&at| counts(at)) {
            let moved = |by: f32| {
                let mut case = case.clone();
                field(&mut case)[at] += by;
                (loss(&case), f64::from(field(&mut case)[at]))
            };
            let ((above, to), (below, from)) = (moved(H), moved(-H));
            let difference = (above - below) / (to - from);
            let apart = (f64::from(gradient[at]) - difference).abs();
            assert!(apart <= 1e-3 * gross, "{name}[{at}]: {} for {difference}", gradient[at]);
        }
    }
}

/// Each image for itself, as the batch with the batch's statistics.
fn check_single(kernels: Kernels, case: &Case) {
    let expected = case.expected();
    if expected.variance.iter().any(|v| *v > 0.0 && *v < 1e-4) {
        return;
    }
    let (layer, parameters) = (case.layer(), case.parameters());
    let floats = |values: &[f64]| values.iter().map(|v| *v as f32).collect();
    let statistics = Statistics { mean: floats(&expected.mean), variance: floats(&expected.variance) };
    let folded = Folded::new(&layer, parameters, &statistics).expect("such kernels can be folded");
    let planes = |values: &[f32], channels: usize, [height, width]: [usize; 2]| {
        let value = |c: usize, i: usize, j: usize| values[(c * height + i) * width + j];
        Planes::from_fn(channels, [height, width], value)
    };
    let conv = &case.conv;
    let (rows, columns) = (conv.height_out(), conv.width_out());
    let size = |values: &[f32]| (values.len() / case.images).max(1);
    let mut added = case.added.chunks(size(&case.added));
    let mut y = Vec::new();
    for x in case.x.chunks(size(&case.x)) {
        let x = planes(x, conv.channels_in, [conv.height, conv.width]);
        let shortcut = case.shortcut.map(|shortcut| match (shortcut, added.next().expect("one for each image")) {
            (Shortcut::Identity, added) => planes(added, conv.channels_out, [rows, columns]),
            (Shortcut::Subsampled { channels, height, width, .. }, added) => planes(added, channels, [height, width]),
        });
        let output = kernels.infer(&folded, &x, shortcut.as_ref(), 1);
        let shared = kernels.infer(&folded, &x, shortcut.as_ref(), 3);
        assert_eq!(output.pixels(), shared.pixels());
        y.extend(output.pixels());
        let means: Vec<f64> = output.pixels().chunks(rows * columns).map(mean).collect();
        assert_near("averages", &output.average(), &means);
    }
    assert_near("y", &y, &expected.y);
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len() as f64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 150 }, ..ProptestConfig::default() })]

    #[test]
    fn vector_kernels_agree_with_plain_loops(case in cases()) {
        check(Kernels::detect(), &case);
    }

    #[test]
    fn portable_kernels_agree_with_plain_loops(case in cases()) {
        check(Kernels::portable(), &case);
    }

    #[test]
    fn gradients_agree_with_finite_differences(case in cases()) {
        check_differences(Kernels::detect(), case.clone());
        check_differences(Kernels::portable(), case);
    }

    #[test]
    fn images_one_by_one_agree_with_plain_loops(case in cases_of(prop_oneof![Just((3, 3, 1)), Just((1, 1, 0))])) {
        check_single(Kernels::detect(), &case);
        check_single(Kernels::portable(), &case);
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let conv = Conv {
        channels_in: 8,
        channels_out: 16,
        height: 8,
        width: 8,
        kernel: [3, 3],
        stride: 1,
        padding: 1,
        groups: 1,
    };
    let kernels = Kernels::detect();
    let kept: Vec<bool> = numbers(conv.weights(), 1).iter().map(|v| *v < -0.8).collect();
    let layer = ConvNorm { connections: Connections::new(conv, Some(&kept)).into(), shortcut: None, relu: true };
    let x = from_images(&numbers(100 * 512, 2), 512, kernels.lanes());
    let dy = from_images(&numbers(100 * 1024, 3), 1024, kernels.lanes());
    let (weight, gamma, beta) = (numbers(conv.weights(), 4), vec![1.0; 16], vec![0.1; 16]);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let parameters = Parameters { weight: &weight, gamma: &gamma, beta: &beta };
            let x = Input { values: &x, lines: None };
            let trained = kernels.train(&layer, 100, x, None, parameters, true);
            let saved = Saved { x, z: &trained.z, statistics: &trained.statistics };
            let gradients = kernels.backward(&layer, 100, saved, parameters, &dy, ByInput::Found);
            (trained.y, trained.statistics, gradients.x, gradients.weight, gradients.gamma, gradients.beta)
        })
    };
    assert!(run(1) == run(3));
}

#[test]
fn norm_and_relu_of_the_input_can_wait_until_it_is_read() {
    let conv = |channels_in, channels_out, kernel: usize| Conv {
        channels_in,
        channels_out,
        height: 5,
        width: 6,
        kernel: [kernel; 2],
        stride: 1,
        padding: kernel / 2,
        groups: 1,
    };
    let layer = |conv| ConvNorm { connections: Connections::new(conv, None).into(), shortcut: None, relu: true };
    let (first, second) = (layer(conv(2, 3, 1)), layer(conv(3, 2, 3)));
    for kernels in [Kernels::detect(), Kernels::portable()] {
        // Not a multiple of the lanes: what is behind the last image has to stay 0.
        let x = from_images(&numbers(19 * 60, 1), 60, kernels.lanes());
        let dy = from_images(&numbers(19 * 60, 2), 60, kernels.lanes());
        let (weights, beta) = ([numbers(6, 3), numbers(54, 4)], vec![0.5; 3]);
        let parameters = |i: usize, channels| Parameters {
            weight: &weights[i],
            gamma: &[1.5; 3][..channels],
            beta: &beta[..channels],
        };
        let x = Input { values: &x, lines: None };
        let outcome = |finish: bool| {
            let hidden = kernels.train(&first, 19, x, None, parameters(0, 3), finish);
            let values = hidden.y.as_deref().unwrap_or(&hidden.z);
            let between = Input { values, lines: (!finish).then_some(&hidden.lines[..]) };
            let output = kernels.train(&second, 19, between, None, parameters(1, 2), true);
            let saved = Saved { x: between, z: &output.z, statistics: &output.statistics };
            let gradients = kernels.backward(&second, 19, saved, parameters(1, 2), &dy, ByInput::Found);
            let saved = Saved { x, z: &hidden.z, statistics: &hidden.statistics };
            let by_hidden = gradients.x.unwrap();
            let inner = kernels.backward(&first, 19, saved, parameters(0, 3), &by_hidden, ByInput::Found);
            (output.y, gradients.weight, by_hidden, inner.weight, inner.x)
        };
        assert!(outcome(true) == outcome(false));
    }
}

#[test]
fn running_statistics_are_used_as_they_are() {
    let conv =
        Conv { channels_in: 1, channels_out: 1, height: 1, width: 2, kernel: [1, 1], stride: 1, padding: 0, groups: 1 };
    let layer = ConvNorm { connections: Connections::new(conv, None).into(), shortcut: None, relu: true };
    let parameters = Parameters { weight: &[2.0], gamma: &[0.5], beta: &[1.0] };
    let statistics = Statistics { mean: vec![4.0], variance: vec![4.0] };
    let folded = Folded::new(&layer, parameters, &statistics).unwrap();
    let x = Planes::from_fn(1, [1, 2], |_, _, j| [1.0, 3.0][j]);
    let y = Kernels::detect().infer(&folded, &x, None, 1).pixels();
    // (2 − 4) / 2 · 0.5 + 1 and (6 − 4) / 2 · 0.5 + 1
    assert!((y[0] - 0.5).abs() < 1e-5 && (y[1] - 1.5).abs() < 1e-5, "{y:?}");
}
