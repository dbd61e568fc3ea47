//! Structural obfuscation: split channels, cliques, factored layers, ballast in dead channels; all permuted afterwards.

use counterfoil_ticket::Model;
use counterfoil_verify::Verdict;

use crate::align_kit::{Shown, permuted, resnet20};
use crate::kit::{Random, array, change, decided, rename};

/// Adds channels to the hidden group of each block: `made` says for a block's first and second convolution, row by row, what is
/// added behind the outputs of the one and the inputs of the other.
fn widened(model: &Model, more: usize, made: impl Fn(&mut [Vec<f32>], &mut [Vec<f32>])) -> Model {
    let mut widened = model.clone();
    let firsts: Vec<String> =
        model.arrays.keys().filter(|name| name.ends_with("conv1.weight") && name.contains("layer")).cloned().collect();
    for first in firsts {
        let second = first.replace("conv1", "conv2");
        let [a, b] = [&first, &second].map(|name| &model.arrays[name]);
        let [hidden, inputs, out] = [a.shape()[0], a.shape()[1], b.shape()[0]];
        // Rows of the one; of the other, what each of its inputs leads to.
        let mut into: Vec<Vec<f32>> = a.values().chunks(inputs * 9).map(<[f32]>::to_vec).collect();
        let mut from: Vec<Vec<f32>> = (0..hidden)
            .map(|h| (0..out).flat_map(|o| b.values()[(o * hidden + h) * 9..][..9].to_vec()).collect())
            .collect();
        into.resize(hidden + more, vec![0.0; inputs * 9]);
        from.resize(hidden + more, vec![0.0; out * 9]);
        made(&mut into, &mut from);
        let values: Vec<f32> = (0..out)
            .flat_map(|o| from.iter().flat_map(move |of| of[o * 9..][..9].to_vec()).collect::<Vec<_>>())
            .collect();
        widened.arrays.insert(first, array(&[hidden + more, inputs, 3, 3], into.concat()));
        widened.arrays.insert(second, array(&[out, hidden + more, 3, 3], values));
    }
    widened
}

/// The last two channels copy the first two, thrice as large; of what leads out each gets what the other does not.
fn split(into: &mut [Vec<f32>], from: &mut [Vec<f32>]) {
    let hidden = into.len() - 2;
    for c in 0..2 {
        into[hidden + c] = into[c].iter().map(|v| 3.0 * v).collect();
        for p in 0..from[c].len() {
            if p % 2 == 0 {
                (from[hidden + c][p], from[c][p]) = (from[c][p] / 3.0, 0.0);
            }
        }
    }
}

/// The last two channels are one filter twice, and what leads out of them cancels.
fn clique(into: &mut [Vec<f32>], from: &mut [Vec<f32>]) {
    let mut random = Random(3);
    let hidden = into.len() - 2;
    into[hidden] = into[0].iter().map(|_| if random.share() < 0.3 { random.weight() } else { 0.0 }).collect();
    into[hidden + 1] = into[hidden].clone();
    from[hidden] = from[0].iter().map(|_| random.weight()).collect();
    from[hidden + 1] = from[hidden].iter().map(|v| -v).collect();
}

#[test]
fn split_channels_and_cliques_are_put_together_before_alignment() {
    let net = resnet20(16);
    let shown = Shown::new(&net, 220, 0.05, 0.3, &[1, 2]);
    let model = permuted(&shown.ticket.model(), &net, 1);
    let whole = shown.align(&model, true);
    for (what, made) in [("split", split as fn(&mut [Vec<f32>], &mut [Vec<f32>])), ("clique", clique)] {
        let report = shown.align(&widened(&model, 2, made), true);
        assert_eq!(report.verdict, Verdict::Proven, "{what}");
        assert_eq!((decided(&report).n, decided(&report).hits), (decided(&whole).n, decided(&whole).hits), "{what}");
    }
}

/// Zeros are filled in, and each block gets two channels without input, whose huge weights out would be all that ranks take.
#[test]
fn ballast_in_dead_channels_takes_no_ranks() {
    let net = resnet20(16);
    let shown = Shown::new(&net, 221, 0.05, 0.4, &[1, 2]);
    let mut filled = shown.ticket.model();
    let mut random = Random(10);
    change(&mut filled, |v| if v == 0.0 { 0.02 * random.weight() } else { v });
    let ballast = widened(&permuted(&filled, &net, 2), 2, |_, from| {
        let mut random = Random(4);
        let last = from.len() - 2;
        from[last..].iter_mut().flatten().for_each(|v| *v = 100.0 * random.weight());
    });
    assert_eq!(shown.align(&ballast, true).verdict, Verdict::Proven);
}

/// Each 3×3 convolution is a 1×1 one of random weights behind a 3×3 one, U · (U⁻¹ W): U is a product of shears, so that it
/// has an inverse at hand.
#[test]
fn factored_layers_are_multiplied_back() {
    let net = resnet20(8);
    let shown = Shown::new(&net, 222, 0.1, 0.5, &[1, 2]);
    let model = permuted(&shown.ticket.model(), &net, 3);
    let mut factored = Model::default();
    let mut random = Random(5);
    for (name, weight) in &model.arrays {
        let (out, row) = (weight.shape()[0], weight.values().len() / weight.shape()[0]);
        let mut u: Vec<Vec<f64>> = (0..out).map(|i| (0..out).map(|j| f64::from(u8::from(i == j))).collect()).collect();
        let mut v: Vec<Vec<f64>> =
            weight.values().chunks(row).map(|r| r.iter().map(|x| f64::from(*x)).collect()).collect();
        for _ in 0..4 * out {
            let (i, j) = ((random.bits() % out as u64) as usize, (random.bits() % out as u64) as usize);
            let by = random.share() - 0.5;
            if i != j {
                // v_i += by · v_j, undone by u's column j -= by · column i
                let added: Vec<f64> = v[j].iter().map(|x| by * x).collect();
                v[i].iter_mut().zip(added).for_each(|(x, a)| *x += a);
                u.iter_mut().for_each(|row| row[j] -= by * row[i]);
            }
        }
        let single = |m: Vec<Vec<f64>>| m.concat().into_iter().map(|x| x as f32).collect::<Vec<f32>>();
        let stem = name.strip_suffix(".weight").unwrap();
        factored.arrays.insert(format!("{stem}.0.weight"), array(weight.shape(), single(v)));
        factored.arrays.insert(format!("{stem}.1.weight"), array(&[out, out, 1, 1], single(u)));
    }
    let report = shown.align(&factored, true);
    assert_eq!(report.verdict, Verdict::Proven);
    assert_eq!(decided(&report).n, decided(&shown.align(&model, true)).n);
}

#[test]
fn renamed_tensors_are_taken_in_order() {
    let net = resnet20(8);
    let shown = Shown::new(&net, 223, 0.1, 0.5, &[1, 2]);
    let mut model = permuted(&shown.ticket.model(), &net, 4);
    // With the layers that no ticket prunes there are as many tensors as the network has layers.
    model.arrays.insert("conv1.weight".to_owned(), array(&[8, 3, 3, 3], vec![1.0; 216]));
    model.arrays.insert("linear.weight".to_owned(), array(&[10, 32], vec![1.0; 320]));
    let names: Vec<String> = model.arrays.keys().cloned().collect();
    let mut sorted = names.clone();
    sorted.sort_by(|a, b| counterfoil_ticket::natural_order(a, b));
    let renamed = rename(model, |name| format!("t{}.kernel", sorted.iter().position(|n| n == name).unwrap()));
    assert_eq!(shown.align(&renamed, true).verdict, Verdict::Proven);
}
