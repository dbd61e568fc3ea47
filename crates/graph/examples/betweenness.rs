//! Our side of `make bench-graph`: edge betweenness and path sampling on a network masked at random.
//!
//! Writes the unrolled network to FOLDER/links.txt, a line "from to length edge" for each link (edge −1: passed on), and
//! then answers each line of its input with the seconds that it took; values by link go to FOLDER/values.f64.
//!
//! ```text
//! cargo run --release -p counterfoil-graph --example betweenness -- resnet50 64 0.1 1 target/bench-data/graph
//! weighted 0,1,2          sum over these sources, lengths 1 / Σ|w|
//! unit all                exact, all lengths 1
//! sampled 1000            weighted, from a sample, with bounds
//! paths 50000             paths by edge weight product
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use counterfoil_graph::{
    EdgeBetweenness, Link, MaskGraph, Sampling, StepChoice, Unrolled, edge_betweenness, edge_betweenness_from,
    sample_paths, sampled_edge_betweenness,
};
use counterfoil_ticket::{Architecture, CarrierShape, ImageShape, Layer, LayerKind, Mask, Shortcut};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [network, width, density, seed, folder] = &arguments[..] else {
        return Err("expected a network (resnet20, resnet50), its width, density, seed and a folder".into());
    };
    let (layers, shortcuts) = wiring(network, width.parse()?)?;
    let graph = masked_at_random(layers, shortcuts, density.parse()?, seed.parse()?)?;
    let folder = PathBuf::from(folder);
    let bench = Bench {
        network: Unrolled::of(&graph)?,
        weights: graph.edge_weights()?,
        lengths: graph.edge_lengths()?,
        seed: seed.parse()?,
    };
    std::fs::create_dir_all(&folder)?;
    bench.write_links(&folder.join("links.txt"))?;
    println!("{} nodes, {} links", bench.network.nodes(), bench.network.links());
    for line in std::io::stdin().lock().lines() {
        println!("{}", bench.answer(&line?, &folder)?);
    }
    Ok(())
}

struct Bench {
    network: Unrolled,
    weights: Vec<f64>,
    lengths: Vec<f64>,
    seed: u64,
}

impl Bench {
    fn write_links(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let mut file = BufWriter::new(File::create(path)?);
        for to in 0..self.network.nodes() as u32 {
            for (from, link) in self.network.links_into(to) {
                match link {
                    Link::Edge(edge) => writeln!(file, "{from} {to} {} {edge}", self.lengths[edge as usize])?,
                    Link::PassedOn => writeln!(file, "{from} {to} 1 -1")?,
                }
            }
        }
        Ok(file.flush()?)
    }

    /// Does what a line asks for, and gives the seconds that it took.
    fn answer(&self, line: &str, folder: &Path) -> Result<String, Box<dyn Error>> {
        let (what, which) = line.split_once(' ').ok_or("expected a command and its argument")?;
        let unit = vec![1.0; self.lengths.len()];
        let started = Instant::now();
        let (answer, values) = match what {
            "weighted" | "unit" => {
                let lengths = if what == "unit" { &unit } else { &self.lengths };
                let values = if which == "all" {
                    edge_betweenness(&self.network, lengths)?
                } else {
                    let sources: Vec<u32> = which.split(',').map(str::parse).collect::<Result<_, _>>()?;
                    edge_betweenness_from(&self.network, lengths, &sources)?
                };
                (started.elapsed().as_secs_f64().to_string(), EdgeBetweenness::links(&values).to_vec())
            }
            "sampled" => {
                let sampling = Sampling { sources: which.parse()?, seed: self.seed, confidence: 0.95 };
                let sampled = sampled_edge_betweenness(&self.network, &self.lengths, &sampling)?;
                let largest = sampled.bounds().iter().copied().fold(0.0, f64::max);
                let answer = format!("{} {largest}", started.elapsed().as_secs_f64());
                (answer, sampled.estimate().links().to_vec())
            }
            "paths" => {
                let choice = StepChoice::Proportional(&self.weights);
                let counts = sample_paths(&self.network, choice, which.parse()?, self.seed)?;
                let passed = counts.iter().filter(|&&count| count > 0).count();
                (format!("{} {passed}", started.elapsed().as_secs_f64()), Vec::new())
            }
            _ => return Err(format!("unknown command '{what}'").into()),
        };
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(folder.join("values.f64"), bytes)?;
        Ok(answer)
    }
}

fn wiring(network: &str, width: u32) -> Result<(Vec<Layer>, Vec<Shortcut>), String> {
    match network {
        "resnet20" => {
            let input = ImageShape { channels: 3, height: 32, width: 32 };
            let net = Architecture::Resnet20 { input, width, classes: 10 };
            Ok((net.layers(), net.shortcuts()))
        }
        "resnet50" => Ok((resnet50(width), Vec::new())),
        _ => Err(format!("unknown network '{network}', expected resnet20 or resnet50")),
    }
}

/// The layers of a ResNet-50 for CIFAR: a 3×3 stem, bottleneck blocks, projections where a stage begins, ten classes. In an
/// order of its own: masks and weights are drawn layer by layer, and those of docs/performance.md were drawn in this one.
fn resnet50(width: u32) -> Vec<Layer> {
    let mut layers = vec![layer("conv1", [width, 3, 3, 3], [0, 1], false)];
    let (mut stream, mut channels, mut groups) = (1, width, 2);
    for (stage, blocks) in [(0u32, 3), (1, 4), (2, 6), (3, 3)] {
        let inner = width << stage;
        for block in 0..blocks {
            let name = |part: &str| format!("layer{}.{block}.{part}", stage + 1);
            let target = if block == 0 { groups + 2 } else { stream };
            layers.push(layer(&name("conv1"), [inner, channels, 1, 1], [stream, groups], true));
            layers.push(layer(&name("conv2"), [inner, inner, 3, 3], [groups, groups + 1], true));
            layers.push(layer(&name("conv3"), [4 * inner, inner, 1, 1], [groups + 1, target], true));
            if block == 0 {
                layers.push(layer(&name("downsample.0"), [4 * inner, channels, 1, 1], [stream, target], true));
            }
            groups += if block == 0 { 3 } else { 2 };
            (stream, channels) = (target, 4 * inner);
        }
    }
    layers.push(layer("fc", [10, channels, 1, 1], [stream, groups], false));
    layers
}

fn layer(name: &str, shape: [u32; 4], [from, to]: [usize; 2], prunable: bool) -> Layer {
    let kind = LayerKind::Conv { stride: 1, padding: shape[2] / 2 };
    let (name, shape) = (name.to_owned(), CarrierShape::from(shape));
    Layer { name, shape, kind, bias: false, norm: None, max_pooled: false, from, to, prunable }
}

/// Each position of a prunable layer is kept with probability `density`; weights are uniform, as wide as the layer's inputs
/// ask for.
fn masked_at_random(
    layers: Vec<Layer>,
    shortcuts: Vec<Shortcut>,
    density: f64,
    seed: u64,
) -> Result<MaskGraph, Box<dyn Error>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut uniform = move || f64::from(rng.next_u32()) / f64::from(u32::MAX);
    let mut masks = BTreeMap::new();
    let mut values: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    for layer in &layers {
        let size = layer.shape.size();
        let fan_in = f64::from(layer.shape.inp) * layer.shape.taps() as f64;
        let widest = (6.0 / fan_in).sqrt();
        values.insert(layer.weight(), (0..size).map(|_| ((2.0 * uniform() - 1.0) * widest) as f32).collect());
        if layer.prunable {
            masks.insert(layer.weight(), Mask::from_fn(size, |_| uniform() < density));
        }
    }
    let mut graph = MaskGraph::from_layers(layers, shortcuts, &masks)?;
    graph.weigh(|name| values.get(name).map(Vec::as_slice))?;
    Ok(graph)
}
