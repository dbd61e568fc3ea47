//! The wiring of a network: its node groups, and its layers and shortcuts in computing order.
//!
//! Layers whose outputs are added share a node group, so the groups of a residual network form cycles (stream → hidden
//! → stream). What the network computes has none: it is the sequence of steps, each of which reads one group as it
//! stands and adds to another, while every other group stays as it is. Paths and reachability follow this *unrolled*
//! sequence (the unravelled view of Veit, Wilber & Belongie 2016, arXiv 1605.06431).
//!
//! Layers come in computing order. A shortcut says only which groups it joins, so its place follows from theirs: it is
//! taken right before the first layer that reads or writes its target.

use std::collections::BTreeMap;

use counterfoil_ticket::{Layer, Shortcut};

use crate::{GraphError, MAX_CHANNELS};

/// What a step of the unrolled network applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StepKind {
    /// The layer of this index, in computing order.
    Layer(usize),
    /// The shortcut of this index, in the architecture's order.
    Shortcut(usize),
}

/// Number of channels of each node group, from 0 (the input) to the last (the classes).
///
/// Every group must be met by a layer, and all layers that meet it must agree on its channels.
pub(crate) fn group_widths(layers: &[Layer], shortcuts: &[Shortcut]) -> Result<Vec<u32>, GraphError> {
    let mut widths: BTreeMap<usize, u32> = BTreeMap::new();
    for layer in layers {
        for (group, found) in [(layer.from, layer.shape.inp), (layer.to, layer.shape.out)] {
            let expected = *widths.entry(group).or_insert(found);
            if expected != found {
                return Err(GraphError::GroupWidth { layer: layer.name.clone(), group, found, expected });
            }
        }
    }
    if widths.is_empty() {
        return Err(GraphError::NoLayers);
    }
    let shortcut_ends = shortcuts.iter().flat_map(|s| [s.from, s.to]);
    if let Some(group) = shortcut_ends.filter(|group| !widths.contains_key(group)).min() {
        return Err(GraphError::UnusedGroup { group });
    }
    // Keys ascend, so the first that is not its own index comes after a hole.
    if let Some(group) = widths.keys().enumerate().position(|(index, &group)| index != group) {
        return Err(GraphError::UnusedGroup { group });
    }
    for s in shortcuts {
        let (end, width) = (u64::from(widths[&s.from]) + u64::from(s.offset), widths[&s.to]);
        if end > u64::from(width) {
            return Err(GraphError::ShortcutRange { from: s.from, to: s.to, end, width });
        }
    }
    let channels: u128 = widths.values().map(|&w| u128::from(w)).sum();
    if channels > u128::from(MAX_CHANNELS) {
        return Err(GraphError::TooLarge { what: "channels", found: channels, limit: MAX_CHANNELS });
    }
    Ok(widths.into_values().collect())
}

/// Layers and shortcuts in the order in which they compute.
///
/// `groups` is the number of node groups; every group must be written before it is read.
pub(crate) fn computing_order(
    layers: &[Layer],
    shortcuts: &[Shortcut],
    groups: usize,
) -> Result<Vec<StepKind>, GraphError> {
    let mut order = Order { shortcuts, taken: vec![false; shortcuts.len()], steps: Vec::new() };
    for (index, layer) in layers.iter().enumerate() {
        order.take_shortcuts_to(layer.from);
        order.take_shortcuts_to(layer.to);
        order.steps.push(StepKind::Layer(index));
    }
    order.take_shortcuts_to(groups - 1);
    let mut written = vec![false; groups];
    written[0] = true;
    for &step in &order.steps {
        let (from, to) = match step {
            StepKind::Layer(index) => (layers[index].from, layers[index].to),
            StepKind::Shortcut(index) => (shortcuts[index].from, shortcuts[index].to),
        };
        if !written[from] {
            let reader = match step {
                StepKind::Layer(index) => format!("layer '{}'", layers[index].name),
                StepKind::Shortcut(_) => format!("the shortcut to node group {to}"),
            };
            return Err(GraphError::ReadTooEarly { reader, group: from });
        }
        written[to] = true;
    }
    Ok(order.steps)
}

struct Order<'a> {
    shortcuts: &'a [Shortcut],
    /// Invariant: true for exactly the shortcuts that are in `steps` or about to be pushed.
    taken: Vec<bool>,
    steps: Vec<StepKind>,
}

impl Order<'_> {
    /// Pushes the shortcuts to `group` that are not taken yet, each after those to the group that it reads.
    fn take_shortcuts_to(&mut self, group: usize) {
        for index in 0..self.shortcuts.len() {
            if self.shortcuts[index].to == group && !self.taken[index] {
                // Marked before the recursion, so that shortcuts in a circle end it (and are refused as read too early).
                self.taken[index] = true;
                self.take_shortcuts_to(self.shortcuts[index].from);
                self.steps.push(StepKind::Shortcut(index));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use counterfoil_ticket::{Architecture, ImageShape};

    use super::*;
    use crate::test_networks::linear;

    #[test]
    fn option_a_shortcuts_of_resnet20_come_when_their_stage_begins() {
        let input = ImageShape { channels: 3, height: 8, width: 8 };
        let net = Architecture::Resnet20 { input, width: 4, classes: 10 };
        let (layers, shortcuts) = (net.layers(), net.shortcuts());
        let widths = group_widths(&layers, &shortcuts).expect("wired");
        assert_eq!(widths, [3, 4, 4, 4, 4, 8, 8, 8, 8, 16, 16, 16, 16, 10]);
        let steps = computing_order(&layers, &shortcuts, widths.len()).expect("wired");
        assert_eq!(steps.len(), 22);
        // Layer 7 is layer2.0.conv1, which reads stage 1; layer 8 is layer2.0.conv2, the first to write stage 2.
        assert_eq!(steps[7..10], [StepKind::Layer(7), StepKind::Shortcut(0), StepKind::Layer(8)]);
        assert_eq!(steps[14..17], [StepKind::Layer(13), StepKind::Shortcut(1), StepKind::Layer(14)]);
    }

    #[test]
    fn projections_of_resnet18_write_the_stream_that_their_block_adds_to() {
        let input = ImageShape { channels: 3, height: 8, width: 8 };
        let net = Architecture::Resnet18 { input, width: 4, classes: 10 };
        let layers = net.layers();
        let widths = group_widths(&layers, &net.shortcuts()).expect("wired");
        assert_eq!(widths, [3, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 10]);
        let steps = computing_order(&layers, &net.shortcuts(), widths.len()).expect("wired");
        assert_eq!(steps, (0..21).map(StepKind::Layer).collect::<Vec<_>>());
        let groups = |name: &str| layers.iter().find(|l| l.name == name).map(|l| [l.from, l.to]);
        assert_eq!(groups("layer2.0.conv1"), Some([1, 5]));
        assert_eq!(groups("layer2.0.downsample.0"), Some([1, 4]));
        assert_eq!(groups("layer2.0.conv2"), Some([5, 4]));
        assert_eq!(groups("layer2.1.conv1"), Some([4, 6]));
        assert_eq!(groups("fc"), Some([10, 13]));
    }

    #[test]
    fn bottlenecks_of_resnet50_have_two_hidden_groups_and_its_stem_one_of_its_own() {
        let input = ImageShape { channels: 3, height: 8, width: 8 };
        let net = Architecture::Resnet50 { input, width: 4, classes: 10 };
        let layers = net.layers();
        let widths = group_widths(&layers, &net.shortcuts()).expect("wired");
        let stage = |width: u32, blocks: usize| [vec![4 * width], vec![width; 2 * blocks]].concat();
        let expected = [vec![3, 4], stage(4, 3), stage(8, 4), stage(16, 6), stage(32, 3), vec![10]].concat();
        assert_eq!(widths, expected);
        let steps = computing_order(&layers, &net.shortcuts(), widths.len()).expect("wired");
        assert_eq!(steps, (0..54).map(StepKind::Layer).collect::<Vec<_>>());
        let groups = |name: &str| layers.iter().find(|l| l.name == name).map(|l| [l.from, l.to]);
        assert_eq!(groups("layer1.0.conv1"), Some([1, 3]));
        assert_eq!(groups("layer1.0.downsample.0"), Some([1, 2]));
        assert_eq!(groups("layer1.0.conv2"), Some([3, 4]));
        assert_eq!(groups("layer1.0.conv3"), Some([4, 2]));
        assert_eq!(groups("layer1.1.conv1"), Some([2, 5]));
        assert_eq!(groups("layer2.0.conv1"), Some([2, 10]));
        assert_eq!(groups("layer2.0.downsample.0"), Some([2, 9]));
        assert_eq!(groups("fc"), Some([31, 38]));
    }

    #[test]
    fn vgg16_is_a_chain() {
        let input = ImageShape { channels: 3, height: 32, width: 32 };
        let net = Architecture::Vgg16 { input, width: 4, classes: 10 };
        let layers = net.layers();
        let widths = group_widths(&layers, &net.shortcuts()).expect("wired");
        assert_eq!(widths, [3, 4, 4, 8, 8, 16, 16, 16, 32, 32, 32, 32, 32, 32, 10]);
        let steps = computing_order(&layers, &net.shortcuts(), widths.len()).expect("wired");
        assert_eq!(steps, (0..14).map(StepKind::Layer).collect::<Vec<_>>());
        assert!(layers.iter().enumerate().all(|(i, layer)| [layer.from, layer.to] == [i, i + 1]));
    }

    #[test]
    fn a_shortcut_of_a_shortcut_waits_for_it() {
        let layers = [linear("a", [2, 2], [0, 1]), linear("b", [2, 2], [2, 3]), linear("c", [2, 2], [3, 4])];
        let shortcuts = [Shortcut { from: 2, to: 3, offset: 0 }, Shortcut { from: 1, to: 2, offset: 0 }];
        let steps = computing_order(&layers, &shortcuts, 5).expect("wired");
        let [a, b, c] = [0, 1, 2].map(StepKind::Layer);
        assert_eq!(steps, [a, StepKind::Shortcut(1), StepKind::Shortcut(0), b, c]);
    }

    #[test]
    fn layers_that_disagree_on_a_width_are_refused() {
        let layers = [linear("a", [3, 2], [0, 1]), linear("b", [2, 4], [1, 2])];
        let expected = GraphError::GroupWidth { layer: "b".into(), group: 1, found: 4, expected: 3 };
        assert_eq!(group_widths(&layers, &[]), Err(expected));
    }

    #[test]
    fn an_empty_wiring_and_groups_that_no_layer_meets_are_refused() {
        assert_eq!(group_widths(&[], &[]), Err(GraphError::NoLayers));
        let hole = [linear("a", [2, 2], [0, 2])];
        assert_eq!(group_widths(&hole, &[]), Err(GraphError::UnusedGroup { group: 1 }));
        let far = [Shortcut { from: 0, to: usize::MAX, offset: 0 }];
        let whole = [linear("a", [2, 2], [0, 1])];
        assert_eq!(group_widths(&whole, &far), Err(GraphError::UnusedGroup { group: usize::MAX }));
    }

    #[test]
    fn a_shortcut_beyond_its_target_is_refused() {
        let layers = [linear("a", [2, 3], [0, 1])];
        let shortcut = Shortcut { from: 1, to: 0, offset: u32::MAX };
        let expected = GraphError::ShortcutRange { from: 1, to: 0, end: 2 + u64::from(u32::MAX), width: 3 };
        assert_eq!(group_widths(&layers, &[shortcut]), Err(expected));
    }

    #[test]
    fn reading_before_writing_is_refused_and_shortcuts_in_a_circle_with_it() {
        let layers = [linear("a", [2, 2], [1, 2])];
        let expected = GraphError::ReadTooEarly { reader: "layer 'a'".into(), group: 1 };
        assert_eq!(computing_order(&layers, &[], 3), Err(expected));
        let circle = [Shortcut { from: 2, to: 1, offset: 0 }, Shortcut { from: 1, to: 2, offset: 0 }];
        let expected = GraphError::ReadTooEarly { reader: "the shortcut to node group 2".into(), group: 1 };
        assert_eq!(computing_order(&layers, &circle, 3), Err(expected));
    }

    #[test]
    fn more_channels_than_the_limit_are_refused_before_anything_is_allocated() {
        let layers = [linear("a", [u32::MAX, u32::MAX], [0, 1])];
        let found = 2 * u128::from(u32::MAX);
        let expected = GraphError::TooLarge { what: "channels", found, limit: MAX_CHANNELS };
        assert_eq!(group_widths(&layers, &[]), Err(expected));
    }
}
