//! The mask graph: channels as nodes, kept kernels as edges.
//!
//! The graph of "You are caught stealing my winning lottery ticket!" (Chen, Chen, Zhang & Wang 2021, arXiv 2111.00162,
//! section 3): an input channel and an output channel of a layer are joined if the kernel between them keeps a weight.
//! Layers whose outputs are added write the same nodes. Option-A shortcuts carry no weight and are edges of their own
//! kind. The graph is petgraph's, so that its algorithms apply; what the network computes, in which order, is in
//! [`MaskGraph::steps`], since a residual stream makes the graph itself cyclic.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use counterfoil_ticket::{Architecture, Layer, Mask, Shortcut};
use petgraph::graph::{DiGraph, Edge, NodeIndex};

use crate::bounds::{check_masks, count_edges};
use crate::wiring::{StepKind, computing_order, group_widths};
use crate::{GraphError, KeptKernel, kept_kernels};

/// A node: one channel (or neuron) of a node group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel {
    /// Node group, as the architecture numbers them: 0 is the input, the highest the classes.
    pub group: u32,
    /// Index within the group.
    pub index: u32,
}

/// A kept kernel of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kernel {
    /// Index of the layer in computing order.
    pub layer: u32,
    /// Number of kept taps, at least 1.
    pub taps: u32,
    /// Σ|w| over the kept taps; `None` unless [`MaskGraph::weigh`] was called.
    pub weight: Option<f64>,
}

/// An edge: how a channel reaches another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Connection {
    /// Through the kept weights of a layer.
    Kernel(Kernel),
    /// Passed on unchanged by the shortcut of this index.
    Shortcut(u32),
}

/// A layer of the graph and the mask of its weight.
#[derive(Debug, Clone)]
pub struct MaskedLayer {
    layer: Layer,
    mask: Option<Mask>,
}

impl MaskedLayer {
    /// Name, shape, and the groups it reads and writes.
    pub fn layer(&self) -> &Layer {
        &self.layer
    }

    /// Its mask, or `None` where none was given: the layer is dense and no carrier of the claim.
    pub fn mask(&self) -> Option<&Mask> {
        self.mask.as_ref()
    }

    /// Its mask, full for a dense layer.
    pub(crate) fn kept(&self) -> Cow<'_, Mask> {
        match &self.mask {
            Some(mask) => Cow::Borrowed(mask),
            None => Cow::Owned(Mask::full(self.layer.shape.size())),
        }
    }
}

/// One step of the unrolled network: a layer, or a shortcut, with the edges it applies.
///
/// It reads `from` as it stands and adds to `to`; all other groups, and what was in `to`, stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Layer or shortcut.
    pub kind: StepKind,
    /// Node group that is read.
    pub from: usize,
    /// Node group that is added to.
    pub to: usize,
    edges: Range<usize>,
}

/// The mask of a network as a directed graph of channels.
///
/// Nodes are ordered by group, then by index; edges by step, then by output channel, then by input channel (shortcuts:
/// by channel). So everything that follows these orders, sums of floats included, is reproducible.
#[derive(Debug, Clone)]
pub struct MaskGraph {
    graph: DiGraph<Channel, Connection>,
    /// Invariant: consecutive, from 0 to the number of nodes; group g holds the nodes of `groups[g]`.
    groups: Vec<Range<usize>>,
    layers: Vec<MaskedLayer>,
    /// Invariant: their edges are consecutive, from 0 to the number of edges.
    steps: Vec<Step>,
}

impl MaskGraph {
    /// Builds the graph of an architecture under masks, by weight name (`NAME.weight`). A layer without mask is dense.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use counterfoil_graph::MaskGraph;
    /// use counterfoil_ticket::{Architecture, ImageShape, Mask};
    ///
    /// let input = ImageShape { channels: 1, height: 1, width: 2 };
    /// let net = Architecture::Mlp { input, hidden: vec![3], classes: 2 };
    /// let mask = Mask::from_fn(6, |position| position % 2 == 0); // only from the first pixel
    /// let graph = MaskGraph::build(&net, &BTreeMap::from([("fc1.weight".to_owned(), mask)]))?;
    /// assert_eq!((graph.graph().node_count(), graph.graph().edge_count()), (2 + 3 + 2, 3 + 6));
    /// # Ok::<(), counterfoil_graph::GraphError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`MaskGraph::from_layers`].
    pub fn build(architecture: &Architecture, masks: &BTreeMap<String, Mask>) -> Result<Self, GraphError> {
        Self::from_layers(architecture.layers(), architecture.shortcuts(), masks)
    }

    /// Builds the graph of a wiring that no [`Architecture`] describes. Layers are in computing order.
    ///
    /// # Errors
    ///
    /// A mask that fits no layer ([`GraphError::UnknownCarrier`], [`GraphError::MaskSize`]), a wiring that cannot be
    /// computed ([`GraphError::NoLayers`], [`GraphError::RepeatedLayer`], [`GraphError::GroupWidth`],
    /// [`GraphError::UnusedGroup`], [`GraphError::ReadTooEarly`], [`GraphError::ShortcutRange`]), or one above the
    /// limits ([`GraphError::TooLarge`]).
    pub fn from_layers(
        layers: Vec<Layer>,
        shortcuts: Vec<Shortcut>,
        masks: &BTreeMap<String, Mask>,
    ) -> Result<Self, GraphError> {
        check_masks(&layers, masks)?;
        let widths = group_widths(&layers, &shortcuts)?;
        let order = computing_order(&layers, &shortcuts, widths.len())?;
        let layers: Vec<MaskedLayer> =
            layers.into_iter().map(|layer| MaskedLayer { mask: masks.get(&layer.weight()).cloned(), layer }).collect();
        let edges = count_edges(&layers, &shortcuts, &widths)?;
        let channels = widths.iter().map(|&width| width as usize).sum();
        let mut built = Self {
            graph: DiGraph::with_capacity(channels, edges),
            groups: Vec::with_capacity(widths.len()),
            layers,
            steps: Vec::with_capacity(order.len()),
        };
        for (group, &width) in (0..).zip(&widths) {
            let first = built.graph.node_count();
            for index in 0..width {
                built.graph.add_node(Channel { group, index });
            }
            built.groups.push(first..built.graph.node_count());
        }
        for kind in order {
            built.add_step(kind, &shortcuts);
        }
        Ok(built)
    }

    fn add_step(&mut self, kind: StepKind, shortcuts: &[Shortcut]) {
        let first = self.graph.edge_count();
        let (from, to) = match kind {
            StepKind::Layer(index) => {
                let masked = &self.layers[index];
                let Layer { from, to, shape, .. } = masked.layer;
                let (sources, targets) = (self.groups[from].start, self.groups[to].start);
                for KeptKernel { out, inp, taps } in kept_kernels(shape, &masked.kept()) {
                    let source = NodeIndex::new(sources + inp as usize);
                    let target = NodeIndex::new(targets + out as usize);
                    let kernel = Kernel { layer: index as u32, taps, weight: None };
                    self.graph.add_edge(source, target, Connection::Kernel(kernel));
                }
                (from, to)
            }
            StepKind::Shortcut(index) => {
                let Shortcut { from, to, offset } = shortcuts[index];
                let first_target = self.groups[to].start + offset as usize;
                for (source, target) in self.groups[from].clone().zip(first_target..) {
                    let passed = Connection::Shortcut(index as u32);
                    self.graph.add_edge(NodeIndex::new(source), NodeIndex::new(target), passed);
                }
                (from, to)
            }
        };
        self.steps.push(Step { kind, from, to, edges: first..self.graph.edge_count() });
    }

    /// Weighs every kernel by Σ|w| over its kept taps, summed in order of position.
    ///
    /// `values` gives a layer's weights by weight name, row-major; values outside the mask are not looked at, so that
    /// the dense weights of an unstamped ticket weigh what the masked ones do.
    ///
    /// # Errors
    ///
    /// [`GraphError::NoValues`], [`GraphError::ValueCount`] and [`GraphError::NotFinite`]; the graph may then be
    /// weighed in part.
    pub fn weigh<'a>(&mut self, values: impl Fn(&str) -> Option<&'a [f32]>) -> Result<(), GraphError> {
        for step in &self.steps {
            let StepKind::Layer(index) = step.kind else { continue };
            let MaskedLayer { layer, mask } = &self.layers[index];
            let carrier = layer.weight();
            let Some(values) = values(&carrier) else { return Err(GraphError::NoValues { carrier }) };
            if values.len() != layer.shape.size() {
                return Err(GraphError::ValueCount { carrier, found: values.len(), expected: layer.shape.size() });
            }
            let taps = layer.shape.taps();
            for edge in step.edges.clone().map(petgraph::graph::EdgeIndex::new) {
                let (u, v) = self.graph.edge_endpoints(edge).expect("a step's edges are edges of the graph");
                let (inp, out) = (u.index() - self.groups[layer.from].start, v.index() - self.groups[layer.to].start);
                let first = (out * layer.shape.inp as usize + inp) * taps;
                let mut sum = 0.0;
                for position in (first..first + taps).filter(|&p| mask.as_ref().is_none_or(|m| m.keeps(p))) {
                    if !values[position].is_finite() {
                        return Err(GraphError::NotFinite { carrier, position });
                    }
                    sum += f64::from(values[position].abs());
                }
                if let Connection::Kernel(kernel) = &mut self.graph[edge] {
                    kernel.weight = Some(sum);
                }
            }
        }
        Ok(())
    }

    /// What each edge weighs, in order: a kernel its Σ|w|, a shortcut 1, since it passes its channel on unchanged.
    ///
    /// # Errors
    ///
    /// [`GraphError::NotWeighed`] before [`MaskGraph::weigh`].
    pub fn edge_weights(&self) -> Result<Vec<f64>, GraphError> {
        let weight = |connection: &Connection| match connection {
            Connection::Kernel(Kernel { weight: Some(weight), .. }) => Ok(*weight),
            Connection::Kernel(Kernel { layer, .. }) => {
                Err(GraphError::NotWeighed { carrier: self.layers[*layer as usize].layer.weight() })
            }
            Connection::Shortcut(_) => Ok(1.0),
        };
        self.graph.edge_weights().map(weight).collect()
    }

    /// How long each edge is, in order: 1 / Σ|w|, infinite for a kernel of zeros, so that strong kernels are short.
    ///
    /// # Errors
    ///
    /// As [`MaskGraph::edge_weights`].
    pub fn edge_lengths(&self) -> Result<Vec<f64>, GraphError> {
        Ok(self.edge_weights()?.into_iter().map(f64::recip).collect())
    }

    /// The graph itself.
    pub fn graph(&self) -> &DiGraph<Channel, Connection> {
        &self.graph
    }

    /// The layers in computing order.
    pub fn layers(&self) -> &[MaskedLayer] {
        &self.layers
    }

    /// Layers and shortcuts in computing order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The edges that a step of this graph applies, by output channel, then by input channel.
    ///
    /// # Panics
    ///
    /// On a step of another graph.
    pub fn connections(&self, step: &Step) -> &[Edge<Connection>] {
        &self.graph.raw_edges()[step.edges.clone()]
    }

    /// Indices of the edges of [`MaskGraph::connections`].
    pub(crate) fn connection_indices(step: &Step) -> Range<usize> {
        step.edges.clone()
    }

    /// Node indices of each group: group 0 is the input, the last the classes.
    pub fn groups(&self) -> &[Range<usize>] {
        &self.groups
    }

    /// Node indices of the classes.
    pub(crate) fn classes(&self) -> Range<usize> {
        self.groups.last().cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use counterfoil_ticket::ImageShape;

    use super::*;
    use crate::test_networks::{conv, linear};
    use crate::{MAX_KERNELS, MAX_POSITIONS};

    fn masks<const N: usize>(named: [(&str, Mask); N]) -> BTreeMap<String, Mask> {
        named.into_iter().map(|(name, mask)| (name.to_owned(), mask)).collect()
    }

    #[test]
    fn residual_groups_share_nodes_and_shortcuts_are_edges_of_their_own() {
        let input = ImageShape { channels: 3, height: 32, width: 32 };
        let net = Architecture::Resnet20 { input, width: 16, classes: 10 };
        let graph = MaskGraph::build(&net, &BTreeMap::new()).expect("built");
        // 3 input channels, 4 groups a stage, 10 classes; kernels as in the paper's table, 16 + 32 passed-on channels.
        assert_eq!(graph.graph().node_count(), 3 + 4 * (16 + 32 + 64) + 10);
        assert_eq!(graph.graph().edge_count(), 3 * 16 + 267_264 / 9 + 640 + 16 + 32);
        let passed = graph.graph().edge_weights().filter(|c| matches!(c, Connection::Shortcut(_))).count();
        assert_eq!(passed, 48);
        let stage2: Vec<_> = graph.steps().iter().filter(|s| s.to == 5).map(|s| s.kind).collect();
        let [a, b, c] = [8, 10, 12].map(StepKind::Layer);
        assert_eq!(stage2, [StepKind::Shortcut(0), a, b, c]);
    }

    #[test]
    fn edges_are_ordered_by_step_output_and_input() {
        let layers = vec![conv("a", [2, 2, 1, 2], [0, 1]), linear("b", [1, 2], [1, 2])];
        let mask = Mask::from_fn(8, |p| [1, 4, 6, 7].contains(&p));
        let graph = MaskGraph::from_layers(layers, vec![], &masks([("a.weight", mask)])).expect("built");
        let edges: Vec<_> = graph
            .graph()
            .raw_edges()
            .iter()
            .map(|e| match e.weight {
                Connection::Kernel(k) => (e.source().index(), e.target().index(), k.layer, k.taps),
                Connection::Shortcut(_) => unreachable!("there are none"),
            })
            .collect();
        assert_eq!(edges, [(0, 2, 0, 1), (0, 3, 0, 1), (1, 3, 0, 2), (2, 4, 1, 1), (3, 4, 1, 1)]);
        assert_eq!(graph.graph()[NodeIndex::new(3)], Channel { group: 1, index: 1 });
    }

    #[test]
    fn kernels_weigh_the_sum_of_their_kept_magnitudes() {
        let layers = vec![conv("a", [1, 2, 1, 2], [0, 1])];
        let mask = Mask::from_fn(4, |p| p != 1);
        let mut graph = MaskGraph::from_layers(layers, vec![], &masks([("a.weight", mask)])).expect("built");
        graph.weigh(|_| Some(&[0.5, f32::NAN, -1.0, 2.0])).expect("weighed");
        let weights: Vec<_> = graph
            .graph()
            .edge_weights()
            .map(|c| match c {
                Connection::Kernel(k) => k.weight,
                Connection::Shortcut(_) => None,
            })
            .collect();
        assert_eq!(weights, [Some(0.5), Some(3.0)]);
        let carrier = || "a.weight".to_owned();
        let missing = graph.weigh(|_| None);
        assert_eq!(missing, Err(GraphError::NoValues { carrier: carrier() }));
        let short = graph.weigh(|_| Some(&[0.5]));
        assert_eq!(short, Err(GraphError::ValueCount { carrier: carrier(), found: 1, expected: 4 }));
        let infinite = graph.weigh(|_| Some(&[0.5, 0.0, f32::INFINITY, 2.0]));
        assert_eq!(infinite, Err(GraphError::NotFinite { carrier: carrier(), position: 2 }));
    }

    #[test]
    fn masks_that_fit_no_layer_are_refused() {
        let build = |layers: &[Layer], named| MaskGraph::from_layers(layers.to_vec(), vec![], &named).err();
        let a = linear("a", [2, 2], [0, 1]);
        let other = build(std::slice::from_ref(&a), masks([("b.weight", Mask::full(4))]));
        assert_eq!(other, Some(GraphError::UnknownCarrier { carrier: "b.weight".into() }));
        let short = build(std::slice::from_ref(&a), masks([("a.weight", Mask::full(3))]));
        assert_eq!(short, Some(GraphError::MaskSize { carrier: "a.weight".into(), found: 3, expected: 4 }));
        let twice = build(&[a.clone(), Layer { from: 1, to: 2, ..a }], BTreeMap::new());
        assert_eq!(twice, Some(GraphError::RepeatedLayer { carrier: "a.weight".into() }));
    }

    #[test]
    fn layers_above_the_limits_are_refused_before_anything_is_allocated() {
        let build = |layer| MaskGraph::from_layers(vec![layer], vec![], &BTreeMap::new()).err();
        let many = u128::from(u32::MAX).pow(4);
        let expected = GraphError::TooLarge { what: "positions", found: many, limit: MAX_POSITIONS };
        assert_eq!(build(conv("a", [u32::MAX; 4], [0, 1])), Some(expected));
        let expected = GraphError::TooLarge { what: "kernels", found: 1 << 28, limit: MAX_KERNELS };
        assert_eq!(build(linear("a", [1 << 14, 1 << 14], [0, 1])), Some(expected));
    }
}
