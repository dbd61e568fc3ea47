//! The unrolled network: what a mask graph computes, as a graph without cycles.
//!
//! A residual stream is read and written by turns, so the mask graph runs in circles where the network does not
//! (`wiring.rs`). Here a node group has a *copy* for each state that is read: a step that writes a group after it was
//! read starts a new copy, to which every channel is *passed on*; layers that add into a group between two reads share
//! one. Paths from the first copy of the input to the last copy of the classes are those that
//! [`count_paths`](crate::count_paths) counts.
//!
//! A copy is complete when it is first read, and what it was made of was complete before. So copies in the order of
//! their first readers, those that nothing reads at the end, are in topological order, and so are their channels, which
//! are numbered consecutively.

use std::ops::Range;

use crate::{Channel, GraphError, MAX_COPIES, MAX_KERNELS, MaskGraph};

/// How a channel of the unrolled network reaches another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Link {
    /// By the mask graph's edge of this index: a kept kernel or a channel of a shortcut.
    Edge(u32),
    /// From a channel's copy to its next copy, unchanged.
    PassedOn,
}

impl Link {
    /// Stands for [`Link::PassedOn`] where links are stored as numbers; a mask graph has at most 2²⁶ edges.
    const PASSED_ON: u32 = u32::MAX;

    pub(crate) fn from_code(code: u32) -> Self {
        if code == Self::PASSED_ON { Self::PassedOn } else { Self::Edge(code) }
    }
}

/// The unrolled network of a mask graph, by incoming links. Its nodes are numbered in topological order.
#[derive(Debug, Clone)]
pub struct Unrolled {
    /// In topological order; their nodes are consecutive, from 0 on.
    copies: Vec<Copy>,
    /// Invariant: ascending; links into node v are those of `first[v]..first[v + 1]`, passed on first, then by edge.
    first: Vec<u32>,
    /// By link: the node it comes from, which is below the one it leads to.
    sources: Vec<u32>,
    /// By link: the edge of the mask graph, or [`Link::PASSED_ON`].
    codes: Vec<u32>,
    inputs: Range<u32>,
    classes: Range<u32>,
    /// Number of edges of the mask graph.
    edges: usize,
}

/// A node group in one of its states.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Copy {
    group: usize,
    nodes: Range<u32>,
}

/// A copy while the steps are followed, numbered by when it was begun.
struct Begun {
    group: usize,
    /// The copy that passes its channels on to this one.
    before: Option<usize>,
    /// The steps that add to it, and the copies that these read.
    written: Vec<(usize, usize)>,
    read: bool,
}

impl Unrolled {
    /// Unrolls a mask graph.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use counterfoil_graph::{MaskGraph, Unrolled};
    /// use counterfoil_ticket::{Architecture, ImageShape};
    ///
    /// let input = ImageShape { channels: 3, height: 32, width: 32 };
    /// let net = Architecture::Resnet20 { input, width: 16, classes: 10 };
    /// let graph = MaskGraph::build(&net, &BTreeMap::new())?;
    /// let unrolled = Unrolled::of(&graph)?;
    /// // 461 channels, and the three streams once more for each block but the first that adds to them: 3, 2 and 2.
    /// assert_eq!(unrolled.nodes(), 461 + 3 * 16 + 2 * 32 + 2 * 64);
    /// // What is passed on: all channels of the stream before each of these blocks.
    /// assert_eq!(unrolled.links(), graph.graph().edge_count() + 3 * 16 + 2 * 32 + 2 * 64);
    /// # Ok::<(), counterfoil_graph::GraphError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`GraphError::TooLarge`] if a wiring reads and writes large groups by turns so often that there would be more than
    /// [`MAX_COPIES`] nodes.
    pub fn of(graph: &MaskGraph) -> Result<Self, GraphError> {
        let (begun, order) = follow(graph);
        let width = |copy: usize| graph.groups()[begun[copy].group].len() as u128;
        let total: u128 = order.iter().map(|&copy| width(copy)).sum();
        if total > u128::from(MAX_COPIES) {
            return Err(GraphError::TooLarge { what: "channels, unrolled", found: total, limit: MAX_COPIES });
        }
        const { assert!(MAX_COPIES + MAX_KERNELS < Link::PASSED_ON as u64, "links are numbered by u32") };

        let mut copies = Vec::with_capacity(order.len());
        let mut places = vec![0..0; begun.len()];
        let mut end = 0;
        for &copy in &order {
            let nodes = end..end + width(copy) as u32;
            end = nodes.end;
            copies.push(Copy { group: begun[copy].group, nodes: nodes.clone() });
            places[copy] = nodes;
        }
        let mut unrolled = Self {
            first: Vec::with_capacity(end as usize + 1),
            sources: Vec::new(),
            codes: Vec::new(),
            inputs: places[0].clone(),
            classes: copies.iter().rfind(|c| c.group + 1 == graph.groups().len()).map_or(0..0, |c| c.nodes.clone()),
            edges: graph.graph().edge_count(),
            copies,
        };
        unrolled.first.push(0);
        for &copy in &order {
            unrolled.add_links(graph, &begun[copy], &places);
        }
        Ok(unrolled)
    }

    /// Appends the links into the next copy, node by node.
    fn add_links(&mut self, graph: &MaskGraph, copy: &Begun, places: &[Range<u32>]) {
        let group = &graph.groups()[copy.group];
        // The edges of a step are sorted by the channel that they write, so each step's come in one pass.
        let mut pending: Vec<_> = copy
            .written
            .iter()
            .map(|&(step, read)| {
                let step = &graph.steps()[step];
                let edges = MaskGraph::connection_indices(step).zip(graph.connections(step)).peekable();
                (graph.groups()[step.from].start, places[read].start, edges)
            })
            .collect();
        for (channel, node) in group.clone().enumerate() {
            if let Some(before) = copy.before {
                self.sources.push(places[before].start + channel as u32);
                self.codes.push(Link::PASSED_ON);
            }
            for (group_start, copy_start, edges) in &mut pending {
                while let Some((edge, connection)) = edges.next_if(|(_, c)| c.target().index() == node) {
                    self.sources.push(*copy_start + (connection.source().index() - *group_start) as u32);
                    self.codes.push(edge as u32);
                }
            }
            self.first.push(self.sources.len() as u32);
        }
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.first.len() - 1
    }

    /// Number of links.
    pub fn links(&self) -> usize {
        self.sources.len()
    }

    /// Number of edges of the mask graph, of which each is one link.
    pub fn edges(&self) -> usize {
        self.edges
    }

    /// The links into a node: where each comes from, which is a lower number, and what it is.
    pub fn links_into(&self, node: u32) -> impl Iterator<Item = (u32, Link)> {
        let range = self.range(node);
        let codes = self.codes[range.clone()].iter().map(|&code| Link::from_code(code));
        self.sources[range].iter().copied().zip(codes)
    }

    /// The channel of which the node is a copy.
    pub fn channel(&self, node: u32) -> Channel {
        let copy = &self.copies[self.copies.partition_point(|copy| copy.nodes.end <= node)];
        Channel { group: copy.group as u32, index: node - copy.nodes.start }
    }

    /// The input channels before anything adds to them.
    pub fn inputs(&self) -> Range<u32> {
        self.inputs.clone()
    }

    /// The classes after everything has been added to them.
    pub fn classes(&self) -> Range<u32> {
        self.classes.clone()
    }

    /// Where the links into a node are stored.
    pub(crate) fn range(&self, node: u32) -> Range<usize> {
        self.first[node as usize] as usize..self.first[node as usize + 1] as usize
    }

    /// By link, the node it comes from.
    pub(crate) fn sources(&self) -> &[u32] {
        &self.sources
    }

    /// By link, what it is.
    pub(crate) fn link(&self, link: usize) -> Link {
        Link::from_code(self.codes[link])
    }

    /// By link, the value of its edge, or 1 where a channel is passed on.
    pub(crate) fn by_link(&self, by_edge: &[f64]) -> Vec<f64> {
        let value = |&code: &u32| by_edge.get(code as usize).copied().unwrap_or(1.0);
        self.codes.iter().map(value).collect()
    }
}

/// The copies as the steps begin them, and their topological order.
fn follow(graph: &MaskGraph) -> (Vec<Begun>, Vec<usize>) {
    let mut begun = vec![Begun { group: 0, before: None, written: Vec::new(), read: false }];
    let mut current: Vec<Option<usize>> = vec![None; graph.groups().len()];
    current[0] = Some(0);
    let mut order = Vec::new();
    for (index, step) in graph.steps().iter().enumerate() {
        let from = current[step.from].expect("a mask graph reads no group before it is written");
        if !begun[from].read {
            begun[from].read = true;
            order.push(from);
        }
        let before = current[step.to];
        let to = match before {
            Some(copy) if !begun[copy].read => copy,
            _ => {
                begun.push(Begun { group: step.to, before, written: Vec::new(), read: false });
                begun.len() - 1
            }
        };
        current[step.to] = Some(to);
        begun[to].written.push((index, from));
    }
    order.extend((0..begun.len()).filter(|&copy| !begun[copy].read));
    (begun, order)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use counterfoil_ticket::{Mask, Shortcut};
    use num_bigint::BigUint;
    use proptest::prelude::*;

    use super::*;
    use crate::count_paths;
    use crate::test_networks::{linear, residual_networks};

    fn links(unrolled: &Unrolled) -> Vec<(u32, u32, Link)> {
        (0..unrolled.nodes() as u32).flat_map(|v| unrolled.links_into(v).map(move |(u, link)| (u, v, link))).collect()
    }

    #[test]
    fn a_stream_gets_a_copy_for_each_state_that_is_read() {
        // Input 0, stream 1 and 2, hidden 3, class 4; the block adds to channel 1 of the stream only.
        let layers = vec![
            linear("stem", [2, 1], [0, 1]),
            linear("in", [1, 2], [1, 2]),
            linear("out", [2, 1], [2, 1]),
            linear("head", [1, 2], [1, 3]),
        ];
        let masks = BTreeMap::from([("out.weight".to_owned(), Mask::from_fn(2, |p| p == 1))]);
        let graph = MaskGraph::from_layers(layers, vec![], &masks).expect("wired");
        let unrolled = Unrolled::of(&graph).expect("small");
        use Link::{Edge, PassedOn};
        let expected = [
            (0, 1, Edge(0)),
            (0, 2, Edge(1)),
            (1, 3, Edge(2)),
            (2, 3, Edge(3)),
            (1, 4, PassedOn),
            (2, 5, PassedOn),
            (3, 5, Edge(4)),
            (4, 6, Edge(5)),
            (5, 6, Edge(6)),
        ];
        assert_eq!(links(&unrolled), expected);
        assert_eq!((unrolled.inputs(), unrolled.classes()), (0..1, 6..7));
        assert_eq!(unrolled.channel(5), Channel { group: 1, index: 1 });
    }

    #[test]
    fn layers_that_add_between_two_reads_share_a_copy_that_comes_when_it_is_complete() {
        // As in a ResNet-50: the projection writes the stream before the hidden group that also adds to it is computed.
        let layers = vec![
            linear("conv1", [1, 1], [0, 1]),
            linear("projection", [1, 1], [0, 3]),
            linear("conv2", [1, 1], [1, 2]),
            linear("conv3", [1, 1], [2, 3]),
            linear("head", [1, 1], [3, 4]),
        ];
        let graph = MaskGraph::from_layers(layers, vec![], &BTreeMap::new()).expect("wired");
        let unrolled = Unrolled::of(&graph).expect("small");
        let ends: Vec<_> = links(&unrolled).into_iter().map(|(u, v, _)| (u, v)).collect();
        assert_eq!(ends, [(0, 1), (1, 2), (0, 3), (2, 3), (3, 4)]);
    }

    #[test]
    fn a_wiring_of_too_many_copies_is_refused() {
        // A group of 2^20 channels, read and written a hundred times.
        let wide = 1 << 20;
        let mut layers = vec![linear("stem", [wide, 1], [0, 1])];
        for block in 0..100 {
            layers.push(linear(&format!("{block}.in"), [1, wide], [1, 2]));
            layers.push(linear(&format!("{block}.out"), [wide, 1], [2, 1]));
        }
        let masks = layers[1..].iter().map(|l| (l.weight(), Mask::empty(wide as usize))).collect();
        let graph = MaskGraph::from_layers(layers, vec![], &masks).expect("wired");
        let found = 1 + 101 * u128::from(wide) + 100;
        let expected = GraphError::TooLarge { what: "channels, unrolled", found, limit: MAX_COPIES };
        assert_eq!(Unrolled::of(&graph).err(), Some(expected));
    }

    proptest! {
        #[test]
        fn links_ascend_use_every_edge_once_and_keep_the_number_of_paths(network in residual_networks()) {
            let graph = network.graph();
            let unrolled = Unrolled::of(&graph).expect("small");
            let mut used = vec![0; unrolled.edges()];
            let mut paths = vec![BigUint::ZERO; unrolled.nodes()];
            for input in unrolled.inputs() {
                paths[input as usize] = 1u32.into();
            }
            for (u, v, link) in links(&unrolled) {
                prop_assert!(u < v);
                let (from, to) = (unrolled.channel(u), unrolled.channel(v));
                match link {
                    Link::Edge(edge) => {
                        used[edge as usize] += 1;
                        let ends = graph.graph().edge_endpoints((edge).into()).expect("an edge");
                        prop_assert_eq!((graph.graph()[ends.0], graph.graph()[ends.1]), (from, to));
                    }
                    Link::PassedOn => prop_assert_eq!(from, to),
                }
                let added = paths[u as usize].clone();
                paths[v as usize] += added;
            }
            prop_assert!(used.iter().all(|&times| times == 1));
            let arrived: BigUint = unrolled.classes().map(|class| &paths[class as usize]).sum();
            prop_assert_eq!(arrived, count_paths(&graph));
        }
    }

    #[test]
    fn shortcuts_are_links_like_kernels() {
        let layers = vec![linear("a", [1, 1], [0, 1]), linear("b", [1, 2], [2, 3])];
        let shortcuts = vec![Shortcut { from: 1, to: 2, offset: 1 }];
        let graph = MaskGraph::from_layers(layers, shortcuts, &BTreeMap::new()).expect("wired");
        let unrolled = Unrolled::of(&graph).expect("small");
        let ends: Vec<_> = links(&unrolled).into_iter().map(|(u, v, _)| (u, v)).collect();
        assert_eq!(ends, [(0, 1), (1, 3), (2, 4), (3, 4)]);
    }
}
