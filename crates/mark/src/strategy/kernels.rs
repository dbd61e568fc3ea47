//! Importance by kernel: what the channel graph says of an edge holds for all kept positions of its kernel.

use counterfoil_graph::{MaskGraph, StepKind, Unrolled};
use counterfoil_ticket::Model;

use super::{Importance, StrategyError};

/// A ticket's channel graph, whose kernels are weighed by Σ|w|.
pub(super) struct Kernels<'a> {
    ticket: &'a Model,
    pub(super) graph: MaskGraph,
    pub(super) network: Unrolled,
}

impl<'a> Kernels<'a> {
    pub(super) fn of(ticket: &'a Model) -> Result<Self, StrategyError> {
        let architecture = ticket.description.architecture.as_ref().ok_or(StrategyError::NoArchitecture)?;
        let mut graph = MaskGraph::build(architecture, &ticket.masks)?;
        graph.weigh(|name| Some(ticket.arrays.get(name)?.values()))?;
        let network = Unrolled::of(&graph)?;
        Ok(Self { ticket, graph, network })
    }

    /// Values by edge of the graph as values by position; 0 where no kernel is kept.
    pub(super) fn by_position(&self, values: &[f64]) -> Importance {
        let masks = self.ticket.masks.iter();
        let mut importance: Importance = masks.map(|(name, mask)| (name.clone(), vec![0.0; mask.size()])).collect();
        let graph = &self.graph;
        let mut edge = 0;
        for step in graph.steps() {
            let connections = graph.connections(step);
            let values = &values[edge..edge + connections.len()];
            edge += connections.len();
            let StepKind::Layer(index) = step.kind else { continue };
            let layer = graph.layers()[index].layer();
            let Some(scores) = importance.get_mut(&layer.weight()) else { continue };
            let [from, to] = [layer.from, layer.to].map(|group| graph.groups()[group].start);
            let taps = layer.shape.taps();
            for (connection, value) in connections.iter().zip(values) {
                let (inp, out) = (connection.source().index() - from, connection.target().index() - to);
                let first = (out * layer.shape.inp as usize + inp) * taps;
                scores[first..first + taps].fill(*value);
            }
        }
        importance
    }
}
