use counterfoil_ticket::ImageShape;

use super::*;
use crate::{DeviceChoice, Predictor};

fn network(architecture: Architecture) -> Network {
    let normalisation = Normalisation { mean: vec![0.5; 3], std: vec![0.25; 3] };
    Network::initialise(architecture, normalisation, 7, &DeviceChoice::Cpu.open().unwrap())
}

fn resnet20() -> Network {
    let input = ImageShape { channels: 3, height: 8, width: 8 };
    network(Architecture::Resnet20 { input, width: 2, classes: 4 })
}

fn resnet50() -> Network {
    let input = ImageShape { channels: 3, height: 8, width: 8 };
    network(Architecture::Resnet50 { input, width: 2, classes: 4 })
}

fn vgg16() -> Network {
    let input = ImageShape { channels: 3, height: 32, width: 32 };
    network(Architecture::Vgg16 { input, width: 2, classes: 4 })
}

fn images(network: &Network, n: usize) -> Vec<u8> {
    (0..n * network.architecture().input().size()).map(|i| (i * 7919 % 251) as u8).collect()
}

#[test]
fn an_mlp_computes_what_is_written_on_paper() {
    let input = ImageShape { channels: 1, height: 1, width: 2 };
    let mut net = network(Architecture::Mlp { input, hidden: vec![2], classes: 2 });
    net.set_parameter("fc1.weight".into(), vec![1.0, 2.0, -1.0, 0.5]);
    net.set_parameter("fc1.bias".into(), vec![0.5, 0.0]);
    net.set_parameter("fc2.weight".into(), vec![1.0, 1.0, 2.0, -3.0]);
    net.set_parameter("fc2.bias".into(), vec![0.0, 1.0]);
    // Bytes 255 and 51 are 1 and 0.2, normalised 2 and -1.2; hidden 2 - 2.4 + 0.5 = 0.1 and relu(-2 - 0.6) = 0.
    let logits = Predictor::new(&net).logits(&[255, 51]);
    assert!((logits[0] - 0.1).abs() < 1e-5 && (logits[1] - 1.2).abs() < 1e-5, "{logits:?}");
}

#[test]
fn gradients_agree_with_finite_differences() {
    let weights = ["conv1.weight", "layer2.0.conv1.weight", "layer3.2.bn2.weight", "linear.weight", "linear.bias"];
    compare_to_finite_differences(&resnet20(), &weights);
    let weights = ["layer1.0.downsample.0.weight", "layer3.0.conv2.weight", "layer4.2.conv3.weight", "fc.bias"];
    compare_to_finite_differences(&resnet50(), &weights);
    compare_to_finite_differences(&vgg16(), &["features.0.weight", "features.31.bias", "features.40.weight"]);
}

fn compare_to_finite_differences(net: &Network, names: &[&str]) {
    // One image is learned well enough at any loss, and so has no part in it.
    let stakes = [1.0, 0.5, 1.0, 1.0, 1.0, 1.0].map(|weight| Stake { weight, ..Stake::FULL }).to_vec();
    let mut batch = Batch { images: images(net, 6), labels: vec![0, 1, 2, 3, 0, 1], stakes, soft: None };
    batch.stakes[3].enough = f32::INFINITY;
    let loss_of = |net: &Network| f64::from(to_vec(&net.clone().loss(&batch, &Connected::default()).0.inner())[0]);
    let (loss, leaves) = net.clone().loss(&batch, &Connected::default());
    let gradients = loss.backward();
    for &name in names {
        let gradient = to_vec(&leaves[name].grad(&gradients).unwrap().inner());
        let values = net.parameter(name).unwrap();
        let position = (0..values.len()).max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs())).unwrap();
        let moved = |by: f32| {
            let (mut net, mut values) = (net.clone(), values.clone());
            values[position] += by;
            net.set_parameter(name.to_owned(), values);
            loss_of(&net)
        };
        let step = 2e-4; // Small against ReLU kinks, large against f32 rounding (1e-7 / 4e-4).
        let difference = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
        let analytic = f64::from(gradient[position]);
        assert!((difference - analytic).abs() < 0.05 * analytic.abs() + 1e-3, "{name}: {difference} {analytic}");
    }
}

#[test]
fn input_gradients_agree_with_finite_differences() {
    let mut net = resnet20();
    // Away from the kinks of most ReLUs.
    net.layers().to_vec().iter().filter_map(|layer| layer.norm.clone()).for_each(|norm| {
        let channels = net.parameter(&format!("{norm}.bias")).unwrap().len();
        net.set_parameter(format!("{norm}.bias"), vec![2.0; channels]);
    });
    // No class is certain.
    let classifier = net.parameter("linear.weight").unwrap();
    net.set_parameter("linear.weight".into(), classifier.into_iter().map(|w| 0.02 * w).collect());
    let pixels = images(&net, 1);
    let gradient = input_gradients(&net, &pixels, &[1]);
    let loss = |pixels: &[u8]| -f64::from(crate::softmax(&Predictor::new(&net).logits(pixels), 1.0)[1]).ln();
    let steepest = (0..gradient.len()).max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs())).unwrap();
    let moved = |by: i16| {
        let mut pixels = pixels.clone();
        pixels[steepest] = (i16::from(pixels[steepest]) + by) as u8;
        loss(&pixels)
    };
    // A byte is 1 / 255 / 0.25 of the normalised scale.
    let difference = (moved(2) - moved(-2)) / 4.0 * 255.0 * 0.25;
    let analytic = f64::from(gradient[steepest]);
    assert!((difference - analytic).abs() < 0.1 * analytic.abs(), "{difference} {analytic}");
}

#[test]
fn soft_targets_that_are_certain_are_labels() {
    let net = resnet20();
    let stakes = vec![Stake::FULL; 2];
    let hard = Batch { images: images(&net, 2), labels: vec![0, 3], stakes, soft: None };
    let probabilities = vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
    let soft = Batch { soft: Some(Soft { probabilities, temperature: 1.0 }), ..hard.clone() };
    let [hard, soft] = [hard, soft].map(|batch| to_vec(&net.clone().loss(&batch, &Connected::default()).0.inner())[0]);
    assert!((hard - soft).abs() < 1e-6, "{hard} {soft}");
}

#[test]
fn a_resnet18_has_the_state_of_torchvision_s() {
    let input = ImageShape { channels: 3, height: 8, width: 8 };
    let arrays = network(Architecture::Resnet18 { input, width: 2, classes: 4 }).arrays();
    assert_eq!(arrays["conv1.weight"].shape(), [2, 3, 3, 3]);
    assert_eq!(arrays["layer2.0.conv1.weight"].shape(), [4, 2, 3, 3]);
    assert_eq!(arrays["layer2.0.downsample.0.weight"].shape(), [4, 2, 1, 1]);
    assert_eq!(arrays["layer2.0.downsample.1.running_mean"].shape(), [4]);
    assert_eq!(arrays["layer4.1.bn2.bias"].shape(), [16]);
    assert_eq!(arrays["fc.weight"].shape(), [4, 16]);
    assert_eq!(arrays["fc.bias"].shape(), [4]);
    // Weight and five tensors of the norm for each convolution; torchvision's has 122 too.
    assert_eq!(arrays.len(), 20 * 6 + 2);
}

#[test]
fn a_resnet50_has_the_state_of_torchvision_s() {
    let arrays = resnet50().arrays();
    assert_eq!(arrays["layer1.0.conv1.weight"].shape(), [2, 2, 1, 1]);
    assert_eq!(arrays["layer1.0.downsample.0.weight"].shape(), [8, 2, 1, 1]);
    assert_eq!(arrays["layer2.0.conv2.weight"].shape(), [4, 4, 3, 3]);
    assert_eq!(arrays["layer2.0.conv3.weight"].shape(), [16, 4, 1, 1]);
    assert_eq!(arrays["layer4.2.bn3.running_var"].shape(), [64]);
    assert_eq!(arrays["fc.weight"].shape(), [4, 64]);
    // torchvision's has 320 too.
    assert_eq!(arrays.len(), 53 * 6 + 2);
}

#[test]
fn a_vgg16_has_the_state_of_torchvision_s_features() {
    let arrays = vgg16().arrays();
    assert_eq!(arrays["features.0.weight"].shape(), [2, 3, 3, 3]);
    assert_eq!(arrays["features.0.bias"].shape(), [2]);
    assert_eq!(arrays["features.1.running_mean"].shape(), [2]);
    assert_eq!(arrays["features.40.weight"].shape(), [16, 16, 3, 3]);
    assert_eq!(arrays["features.41.weight"].shape(), [16]);
    assert_eq!(arrays["classifier.weight"].shape(), [4, 16]);
    // Of each convolution also a bias.
    assert_eq!(arrays.len(), 13 * 7 + 2);
}

#[test]
fn a_bias_in_front_of_a_batch_norm_is_in_the_running_mean_and_nowhere_else() {
    let (mut net, images) = (vgg16(), images(&vgg16(), 3));
    let stakes = vec![Stake::FULL; 3];
    let batch = Batch { images: images.clone(), labels: vec![0, 1, 2], stakes, soft: None };
    let mut plain = net.clone();
    let shift = |channels: usize, by: f32| (0..channels).map(|c| by * (1 + c) as f32).collect::<Vec<f32>>();
    for layer in net.layers().to_vec() {
        let (Some(norm), Some(bias)) = (&layer.norm, layer.bias()) else { continue };
        net.set_statistic(bias, shift(layer.shape.out as usize, 0.25));
        net.set_statistic(format!("{norm}.running_mean"), shift(layer.shape.out as usize, 0.25));
    }
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + b.abs()));
    let logits = |net: &Network| Predictor::new(net).logits(&images);
    assert!(close(&logits(&net), &logits(&plain)));
    let losses = [&mut net, &mut plain].map(|net| to_vec(&net.loss(&batch, &Connected::default()).0.inner())[0]);
    assert_eq!(losses[0], losses[1]);
    for layer in net.layers() {
        let (Some(norm), Some(bias)) = (&layer.norm, layer.bias()) else { continue };
        let [with, without] = [&net, &plain].map(|net| to_vec(&net.statistics[&format!("{norm}.running_mean")]));
        let expected = shift(layer.shape.out as usize, 0.25);
        assert_eq!(to_vec(&net.statistics[&bias]), expected);
        assert!(without.iter().any(|mean| *mean != 0.0), "{norm} follows");
        let found: Vec<f32> = with.iter().zip(without).map(|(with, without)| with - without).collect();
        assert!(close(&found, &expected), "{norm}: {found:?}");
        assert!(net.parameters.keys().all(|name| *name != bias));
    }
    assert!(close(&logits(&net), &logits(&plain)));
}

#[test]
fn examples_count_by_their_stakes() {
    let net = resnet20();
    let batch = |stakes: [Stake; 3]| Batch {
        images: images(&net, 3),
        labels: vec![0, 1, 2],
        stakes: stakes.to_vec(),
        soft: None,
    };
    let loss_of = |stakes| to_vec(&net.clone().loss(&batch(stakes), &Connected::default()).0.inner())[0];
    let alone = |i: usize| {
        let none = Stake { weight: 0.0, ..Stake::FULL };
        loss_of(std::array::from_fn(|j| if i == j { Stake::FULL } else { none }))
    };
    let losses = [0, 1, 2].map(alone);
    let enough = Stake { enough: 3.0 * losses[2] + 1e-3, ..Stake::FULL };
    let found = loss_of([Stake { weight: 0.25, ..Stake::FULL }, Stake::FULL, enough]);
    let expected = 0.25 * losses[0] + losses[1];
    assert!((found - expected).abs() < 1e-5 * expected && losses[2] > 0.0, "{found} {losses:?}");
}

#[test]
fn arrays_have_pytorch_s_shapes_and_load_again() {
    let net = resnet20();
    let arrays = net.arrays();
    assert_eq!(arrays["conv1.weight"].shape(), [2, 3, 3, 3]);
    assert_eq!(arrays["linear.weight"].shape(), [4, 8]);
    assert_eq!(arrays["layer1.0.bn1.running_var"].shape(), [2]);
    assert_eq!(arrays.len(), 19 * 6 + 2);
    let model = Model { arrays, ..Model::default() };
    let load = |model: &Model| {
        Network::from_model(model, net.architecture().clone(), net.normalisation().clone(), net.device())
    };
    let images = images(&net, 2);
    let logits = |net: &Network| Predictor::new(net).logits(&images);
    assert_eq!(logits(&load(&model).unwrap()), logits(&net));

    let mut incomplete = model.clone();
    incomplete.arrays.remove("linear.bias");
    let message = load(&incomplete).unwrap_err().to_string();
    assert_eq!(message, "tensor 'linear.bias' is missing, expected by the architecture");
    let mut wrong = model;
    wrong.arrays.insert("linear.bias".into(), Array::new(vec![3], vec![0.0; 3]).unwrap());
    assert_eq!(load(&wrong).unwrap_err().to_string(), "tensor 'linear.bias' has 3 values, expected 4");
}
