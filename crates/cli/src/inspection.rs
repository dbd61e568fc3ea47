//! What a model file holds: layers, masks, and the graph of its channels. As data, and in words.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use counterfoil_graph::{CarrierStatistics, MaskGraph, Sparsity, Summary, carrier_statistics, summarise};
use counterfoil_ticket::{Architecture, Description, Kind, Mask, ModelFile, Provenance};
use serde::Serialize;

use crate::Error;
use crate::network_kind::in_words;
use crate::output::{Align, Table, count, escaped, percent};

/// Digits of a path count that are printed; the JSON has all.
const DIGITS: usize = 3;

/// What is known of a model: the JSON of `inspect --json`.
#[derive(Serialize)]
pub(crate) struct Inspection {
    /// The file.
    file: String,
    /// "safetensors" or "pytorch".
    container: &'static str,
    /// What the file says about itself; null if nothing.
    description: Option<Description>,
    /// The architecture, described or recognised; null if it is none that counterfoil knows.
    architecture: Option<Architecture>,
    /// All carriers: weight tensors of rank 2 to 4, in natural order.
    pub(crate) layers: Vec<LayerInspection>,
    /// Tensors that are no carriers: biases, norms, statistics.
    other_tensors: usize,
    /// The mask graph's statistics; null if there is none.
    graph: Option<Summary>,
    /// Why there is none.
    no_graph: Option<String>,
}

/// One carrier.
#[derive(Serialize)]
pub(crate) struct LayerInspection {
    /// Number of positions.
    pub(crate) positions: u64,
    /// Whether the file has a mask for it; otherwise what is not zero counts as kept.
    masked: bool,
    /// Name, shape, kept positions and kernels, degrees.
    #[serde(flatten)]
    pub(crate) statistics: CarrierStatistics,
}

impl LayerInspection {
    /// Share of kept positions, 0 to 1.
    pub(crate) fn density(&self) -> f64 {
        self.statistics.kept as f64 / self.positions as f64
    }
}

impl Inspection {
    /// Reads a model, one layer at a time.
    pub(crate) fn of(path: &Path, file: &ModelFile, architecture: Result<Architecture, String>) -> Result<Self, Error> {
        let mut masks: BTreeMap<String, Mask> = BTreeMap::new();
        let mut layers = Vec::new();
        for carrier in file.carriers() {
            let name = &carrier.name;
            let masked = file.entries().iter().any(|entry| entry.name == *name && entry.has_mask);
            let mask = file.kept(name)?;
            let statistics = carrier_statistics(name, carrier.shape, &mask)
                .map_err(|source| Error::Graph { file: path.to_owned(), source })?;
            layers.push(LayerInspection { positions: mask.size() as u64, masked, statistics });
            // To the graph a layer without zeros is dense, not masked.
            if masked || mask.kept() < mask.size() {
                masks.insert(name.clone(), mask);
            }
        }
        let graph = architecture.as_ref().map_err(Clone::clone).and_then(|architecture| {
            let graph = MaskGraph::build(architecture, &masks).map_err(|error| error.to_string())?;
            Ok(summarise(&graph))
        });
        let (graph, no_graph) = match graph {
            Ok(graph) => (Some(graph), None),
            Err(reason) => (None, Some(reason)),
        };
        Ok(Self {
            file: path.display().to_string(),
            container: file.container(),
            description: file.description().cloned(),
            architecture: architecture.ok(),
            other_tensors: file.entries().len() - layers.len(),
            layers,
            graph,
            no_graph,
        })
    }

    fn head(&self) -> String {
        let kind = match self.description.as_ref().map(|description| description.kind) {
            Some(Kind::Ticket) => "ticket",
            Some(Kind::Stamped) => "stamped ticket",
            Some(Kind::Locked) => "locked ticket",
            Some(Kind::Model) | None => "model",
        };
        let architecture = self.architecture.as_ref().map_or(String::new(), |a| format!("; {}", in_words(a)));
        format!("{}: {kind} ({}){architecture}\n", self.file, self.container)
    }

    fn origin(&self) -> String {
        let Some(description) = &self.description else { return String::new() };
        let weights = match &description.provenance {
            Provenance::Random => "random".to_owned(),
            Provenance::PublicCheckpoint(name) => format!("the public checkpoint '{name}'"),
            Provenance::Unknown => "of unknown origin".to_owned(),
        };
        let commands = description.history.iter().filter_map(|entry| entry.get("command")?.as_str());
        let commands: Vec<&str> = commands.collect();
        let made = if commands.is_empty() { String::new() } else { format!("; made by {}", commands.join(", ")) };
        format!("Initial weights {}.\n", escaped(&(weights + &made)))
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}{}", self.head(), self.origin())?;
        let mut table = Table::new([
            ("layer", Align::Left),
            ("shape", Align::Left),
            ("kept", Align::Right),
            ("of", Align::Right),
            ("density", Align::Right),
            ("kernels", Align::Right),
            ("", Align::Left),
        ]);
        for layer in &self.layers {
            let CarrierStatistics { name, shape, kept, kernels, kept_kernels, .. } = &layer.statistics;
            table.row([
                name.clone(),
                shape.to_string(),
                count(*kept),
                count(layer.positions),
                percent(layer.density()),
                format!("{} of {}", count(*kept_kernels), count(*kernels)),
                if layer.masked {
                    "mask"
                } else if kept < &layer.positions {
                    "zeros"
                } else {
                    ""
                }
                .to_owned(),
            ]);
        }
        let kept: u64 = self.layers.iter().map(|layer| layer.statistics.kept).sum();
        let positions: u64 = self.layers.iter().map(|layer| layer.positions).sum();
        let density = if positions == 0 { String::new() } else { percent(kept as f64 / positions as f64) };
        table.row(["all".to_owned(), String::new(), count(kept), count(positions), density]);
        writeln!(f, "{table}")?;
        match (&self.graph, &self.no_graph) {
            (Some(graph), _) => write_graph(f, graph),
            (None, Some(reason)) => writeln!(f, "No graph: {reason}."),
            (None, None) => Ok(()),
        }
    }
}

fn write_graph(f: &mut fmt::Formatter<'_>, graph: &Summary) -> fmt::Result {
    let n = |n: usize| count(n as u64);
    writeln!(
        f,
        "Channels   {} joined by {} kernels and {} shortcuts",
        n(graph.channels),
        n(graph.kernels),
        n(graph.shortcuts)
    )?;
    let components = graph.components;
    writeln!(f, "Components {} and {} channels without an edge", n(components.connected), n(components.isolated))?;
    let hidden: usize = graph.groups.iter().map(|group| group.channels).sum();
    let dead: usize = graph.groups.iter().map(|group| group.dead).sum();
    writeln!(f, "Dead       {} of {} hidden channels lie on no path from input to classes", n(dead), n(hidden))?;
    writeln!(f, "Paths      {} from input to classes", shortened(&graph.paths.to_string()))?;
    let sparsity: Sparsity = graph.sparsity.iter().map(|layer| layer.weights).sum();
    if let (Some(direct), Some(effective)) = (sparsity.direct(), sparsity.effective()) {
        let (direct, effective) = (percent(direct), percent(effective));
        writeln!(f, "Sparsity   {direct} direct, {effective} effective (kept weights on no path count as pruned)")?;
    }
    Ok(())
}

/// A large number by its leading digits, cut off.
fn shortened(digits: &str) -> String {
    if digits.len() <= 9 {
        return digits.parse().map_or_else(|_| digits.to_owned(), count);
    }
    format!("{}.{}·10^{} (digits in --json)", &digits[..1], &digits[1..DIGITS], digits.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_cut_off_not_rounded_up() {
        assert_eq!(shortened("123456789"), "123,456,789");
        assert_eq!(shortened("1299999999999"), "1.29·10^12 (digits in --json)");
    }
}
