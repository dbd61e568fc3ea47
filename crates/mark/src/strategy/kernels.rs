//! Importance by kernel: what the channel graph says of an edge holds for all kept positions of its kernel.

use counterfoil_graph::{GraphError, MaskGraph, StepKind, Unrolled};
use counterfoil_ticket::Model;

use super::{Importance, StrategyError};

/// The importance that follows from values by edge of the ticket's channel graph, whose kernels are weighed by Σ|w|.
pub(super) fn by_kernel(
    ticket: &Model,
    values: impl Fn(&MaskGraph, &Unrolled) -> Result<Vec<f64>, GraphError>,
) -> Result<Importance, StrategyError> {
    let architecture = ticket.description.architecture.as_ref().ok_or(StrategyError::NoArchitecture)?;
    let mut graph = MaskGraph::build(architecture, &ticket.masks)?;
    graph.weigh(|name| Some(ticket.arrays.get(name)?.values()))?;
    let values = values(&graph, &Unrolled::of(&graph)?)?;
    let mut importance: Importance =
        ticket.masks.iter().map(|(name, mask)| (name.clone(), vec![0.0; mask.size()])).collect();
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
    Ok(importance)
}
