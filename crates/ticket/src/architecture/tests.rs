use super::*;

const CIFAR: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };

#[test]
fn resnet20_has_the_papers_270_thousand_weights() {
    let net = Architecture::Resnet20 { input: CIFAR, width: 16, classes: 10 };
    let weights: usize = net.layers().iter().map(|l| l.shape.size()).sum();
    assert_eq!(weights, 432 + 267_264 + 640);
    assert_eq!(net.layers().len(), 20);
    let strided = net.layers().iter().filter(|l| matches!(l.kind, LayerKind::Conv { stride: 2, .. })).count();
    assert_eq!(strided, 2);
}

#[test]
fn resnet18_has_torchvision_s_weights_but_for_the_stem_and_the_classifier() {
    let net = Architecture::Resnet18 { input: CIFAR, width: 64, classes: 10 };
    let layers = net.layers();
    let of = |name: &str| layers.iter().find(|l| l.name == name).expect("has the layer");
    // 11,166,912 weights of torchvision's convolutions, less a 7x7 stem, plus a 3x3 one.
    let convolutions: usize = layers.iter().filter(|l| l.norm.is_some()).map(|l| l.shape.size()).sum();
    assert_eq!(convolutions, 11_166_912 - 9408 + 1728);
    assert_eq!(layers.len(), 17 + 3 + 1);
    assert_eq!(<[u32; 4]>::from(of("layer2.0.downsample.0").shape), [128, 64, 1, 1]);
    assert_eq!(of("layer2.0.downsample.0").kind, LayerKind::Conv { stride: 2, padding: 0 });
    assert_eq!(of("layer4.0.downsample.0").norm.as_deref(), Some("layer4.0.downsample.1"));
    let spared: Vec<&str> = layers.iter().filter(|l| !l.prunable).map(|l| l.name.as_str()).collect();
    assert_eq!(spared, ["conv1", "fc"]);
}

#[test]
fn resnet50_has_torchvision_s_weights_but_for_the_stem_and_the_classifier() {
    let net = Architecture::Resnet50 { input: CIFAR, width: 64, classes: 10 };
    let layers = net.layers();
    let of = |name: &str| layers.iter().find(|l| l.name == name).expect("has the layer");
    // 23,454,912 weights of torchvision's convolutions, less a 7x7 stem, plus a 3x3 one.
    let convolutions: usize = layers.iter().filter(|l| l.norm.is_some()).map(|l| l.shape.size()).sum();
    assert_eq!(convolutions, 23_454_912 - 9408 + 1728);
    assert_eq!(layers.len(), 1 + 3 * 16 + 4 + 1);
    assert_eq!(<[u32; 4]>::from(of("layer1.0.downsample.0").shape), [256, 64, 1, 1]);
    assert_eq!(of("layer1.0.downsample.0").kind, LayerKind::Conv { stride: 1, padding: 0 });
    assert_eq!(of("layer2.0.downsample.0").kind, LayerKind::Conv { stride: 2, padding: 0 });
    assert_eq!(of("layer2.0.conv1").kind, LayerKind::Conv { stride: 1, padding: 0 });
    assert_eq!(of("layer2.0.conv2").kind, LayerKind::Conv { stride: 2, padding: 1 });
    assert_eq!(<[u32; 4]>::from(of("layer4.2.conv3").shape), [2048, 512, 1, 1]);
    assert_eq!(<[u32; 4]>::from(of("fc").shape), [10, 2048, 1, 1]);
    let spared: Vec<&str> = layers.iter().filter(|l| !l.prunable).map(|l| l.name.as_str()).collect();
    assert_eq!(spared, ["conv1", "fc"]);
}

#[test]
fn vgg16_has_torchvision_s_features() {
    let net = Architecture::Vgg16 { input: CIFAR, width: 64, classes: 10 };
    let layers = net.layers();
    let convolutions = || layers.iter().filter(|l| l.norm.is_some());
    // 14,714,688 weights and biases of torchvision's convolutions, 4224 of them biases.
    assert_eq!(convolutions().map(|l| l.shape.size()).sum::<usize>(), 14_714_688 - 4224);
    assert_eq!(convolutions().filter(|l| l.bias).map(|l| l.shape.out).sum::<u32>(), 4224);
    let names: Vec<&str> = layers.iter().map(|l| l.name.strip_prefix("features.").unwrap_or(&l.name)).collect();
    let expected = ["0", "3", "7", "10", "14", "17", "20", "24", "27", "30", "34", "37", "40", "classifier"];
    assert_eq!(names, expected);
    let pooled: Vec<&str> = layers.iter().filter(|l| l.max_pooled).filter_map(|l| l.norm.as_deref()).collect();
    assert_eq!(pooled, ["features.4", "features.11", "features.21", "features.31", "features.41"]);
    let spared: Vec<&str> = layers.iter().filter(|l| !l.prunable).map(|l| l.name.as_str()).collect();
    assert_eq!(spared, ["features.0", "classifier"]);
}

#[test]
fn images_that_vgg16_would_halve_away_are_out_of_bounds() {
    let of =
        |height, width| Architecture::Vgg16 { input: ImageShape { channels: 1, height, width }, width: 2, classes: 2 };
    assert!(of(32, 32).is_within_bounds() && of(33, 63).is_within_bounds());
    assert!(!of(31, 32).is_within_bounds() && !of(32, 31).is_within_bounds());
}

#[test]
fn layers_that_share_a_group_agree_on_its_width() {
    let input = ImageShape { channels: 1, height: 8, width: 8 };
    for net in [
        Architecture::Resnet20 { input, width: 4, classes: 10 },
        Architecture::Resnet18 { input, width: 3, classes: 10 },
        Architecture::Resnet50 { input, width: 3, classes: 10 },
        Architecture::Vgg16 { input, width: 3, classes: 10 },
        Architecture::Mlp { input, hidden: vec![30, 20], classes: 10 },
    ] {
        let mut widths = std::collections::BTreeMap::new();
        for layer in net.layers() {
            assert_eq!(*widths.entry(layer.to).or_insert(layer.shape.out), layer.shape.out, "{layer:?}");
            if layer.from != 0 {
                assert_eq!(widths[&layer.from], layer.shape.inp, "{layer:?}");
            }
        }
        for s in net.shortcuts() {
            assert_eq!(widths[&s.from] * 2, widths[&s.to]);
            assert_eq!(s.offset * 2, widths[&s.from]);
        }
    }
}

#[test]
fn networks_are_recognised_by_their_tensors_and_nothing_else_is() {
    let nets = [
        Architecture::Resnet20 { input: CIFAR, width: 16, classes: 10 },
        Architecture::Resnet18 { input: CIFAR, width: 64, classes: 10 },
        Architecture::Resnet50 { input: CIFAR, width: 64, classes: 10 },
        Architecture::Vgg16 { input: CIFAR, width: 64, classes: 10 },
        Architecture::Mlp { input: CIFAR, hidden: vec![300, 100], classes: 10 },
    ];
    for net in nets {
        let tensors: Vec<(String, Vec<usize>)> = net
            .layers()
            .iter()
            .map(|l| {
                let [o, i, h, w] = <[u32; 4]>::from(l.shape).map(|d| d as usize);
                (l.weight(), if l.kind == LayerKind::Linear { vec![o, i] } else { vec![o, i, h, w] })
            })
            .collect();
        let mut pairs: Vec<(&str, &[usize])> = tensors.iter().map(|(n, s)| (n.as_str(), &s[..])).collect();
        assert_eq!(Architecture::recognise(&pairs, CIFAR), Some(net));
        pairs.remove(1);
        assert_eq!(Architecture::recognise(&pairs, CIFAR), None);
    }
}
