//! Edge betweenness from a sample of the sources, with a bound on its error.
//!
//! The dependencies δ(s, e) = Σ σ(s, t | e) / σ(s, t) over t of the n nodes s have the sum B(e). Of them k are drawn without
//! replacement; n / k times their sum estimates B(e) without bias (Brandes & Pich 2007, "Centrality estimation in large
//! networks"). Each is at least 0 and at most b(e), the number of nodes from e's head on in topological order, since a path
//! that uses e ends there, and no term is above 1.
//!
//! **The bound** is the empirical Bernstein–Serfling inequality, theorem 4.3 of Bardenet & Maillard 2015,
//! "Concentration inequalities for sampling without replacement" (Bernoulli 21(3), arXiv 1309.4029): with probability at
//! least 1 − 5 ε, the mean of the population is above that of the sample by no more than
//!
//! v √(2 ρ ln(1/ε) / k) + κ b ln(1/ε) / k, κ = 7/3 + 3/√2,
//!
//! where v² is the variance of the sample (divided by k) and ρ = 1 − (k − 1)/n for k ≤ n/2, (1 − k/n)(1 + 1/k) above. For
//! both sides and all m links at once, ε = (1 − confidence) / (10 m). That of Maurer & Pontil 2009 (arXiv 0907.3740,
//! theorem 4) has smaller constants, but is proven for independent draws only; these would not use that no source comes
//! twice.
//!
//! One thing is certain: B(e) is at least the sum S over the sample, and at most S + r b(e), where r sources that were not
//! drawn lie at e's tail or before. Where this bounds the error more closely, it is what is returned.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::search::{LANES, Tally};
use super::{EdgeBetweenness, Sum, sum_over, take};
use crate::draw::without_replacement;
use crate::{GraphError, Unrolled};

/// How many sources are drawn, and how sure the bound is to hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Number of sources, 1 to the number of nodes.
    pub sources: usize,
    /// Seed of ChaCha8.
    pub seed: u64,
    /// Probability, over the seeds, that all bounds hold; above 0, below 1.
    pub confidence: f64,
}

/// Estimated edge betweenness and how far it may be off.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledBetweenness {
    estimate: EdgeBetweenness,
    bounds: EdgeBetweenness,
}

impl SampledBetweenness {
    /// The estimate.
    pub fn estimate(&self) -> &EdgeBetweenness {
        &self.estimate
    }

    /// By edge of the mask graph: with the asked confidence, all exact values are this close to the estimate, or closer.
    pub fn bounds(&self) -> &[f64] {
        self.bounds.edges()
    }
}

/// Estimates the edge betweenness of an unrolled network from some of its sources.
///
/// - `network`, `lengths`: as in [`edge_betweenness`](super::edge_betweenness).
/// - `sampling`: number of sources, seed, confidence.
///
/// Takes k / n of the time. The same seed gives the same bytes on any number of threads. With as many sources as there are
/// nodes, the result is the exact one and its bounds are 0.
///
/// ```
/// use std::collections::BTreeMap;
/// use counterfoil_graph::{MaskGraph, Sampling, Unrolled, edge_betweenness, sampled_edge_betweenness};
/// use counterfoil_ticket::{Architecture, ImageShape};
///
/// let input = ImageShape { channels: 1, height: 10, width: 10 };
/// let net = Architecture::Mlp { input, hidden: vec![20], classes: 10 };
/// let network = Unrolled::of(&MaskGraph::build(&net, &BTreeMap::new())?)?;
/// let lengths = vec![1.0; network.edges()];
/// let sampling = Sampling { sources: 65, seed: 1, confidence: 0.95 };
/// let sampled = sampled_edge_betweenness(&network, &lengths, &sampling)?;
/// let exact = edge_betweenness(&network, &lengths)?;
/// for ((estimate, exact), bound) in sampled.estimate().edges().iter().zip(exact.edges()).zip(sampled.bounds()) {
///     assert!((estimate - exact).abs() <= *bound);
/// }
/// # Ok::<(), counterfoil_graph::GraphError>(())
/// ```
///
/// # Errors
///
/// As [`edge_betweenness`](super::edge_betweenness), and [`GraphError::SourceCount`], [`GraphError::Confidence`].
pub fn sampled_edge_betweenness(
    network: &Unrolled,
    lengths: &[f64],
    sampling: &Sampling,
) -> Result<SampledBetweenness, GraphError> {
    let (n, k) = (network.nodes(), sampling.sources);
    if k == 0 || k > n {
        return Err(GraphError::SourceCount { found: k, limit: n });
    }
    if !(sampling.confidence > 0.0 && sampling.confidence < 1.0) {
        return Err(GraphError::Confidence { found: sampling.confidence });
    }
    let sources = without_replacement(n as u32, k as u32, &mut ChaCha8Rng::seed_from_u64(sampling.seed));
    let sums: Moments = sum_over(network, lengths, &sources)?;
    let bound = Bound::new(n, k, network.links(), sampling.confidence);
    let mut bounds = vec![0.0; network.links()];
    for head in 0..n as u32 {
        for link in network.range(head) {
            let tail = network.sources()[link];
            let most = f64::from(n as u32 - head);
            let undrawn = tail as usize + 1 - sources.partition_point(|&source| source <= tail);
            bounds[link] = bound.of(sums.first[link], sums.second[link], most, undrawn as f64);
        }
    }
    let scale = n as f64 / k as f64;
    let estimate = sums.first.into_iter().map(|sum| sum * scale).collect();
    Ok(SampledBetweenness {
        estimate: EdgeBetweenness::of_links(network, estimate),
        bounds: EdgeBetweenness::of_links(network, bounds),
    })
}

/// Sums of the dependencies and of their squares.
struct Moments {
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Tally for Moments {
    #[inline(always)]
    fn add(&mut self, link: usize, dependencies: &[f64; LANES]) {
        self.first[link] += dependencies.iter().sum::<f64>();
        self.second[link] += dependencies.iter().map(|d| d * d).sum::<f64>();
    }
}

impl Sum for Moments {
    fn zero(links: usize) -> Self {
        Self { first: vec![0.0; links], second: vec![0.0; links] }
    }

    fn take(&mut self, other: &mut Self) {
        take(&mut self.first, &mut other.first);
        take(&mut self.second, &mut other.second);
    }
}

/// The module's bound, for the sum over all n sources.
struct Bound {
    n: f64,
    k: f64,
    /// ln(1/ε).
    log: f64,
    rho: f64,
}

impl Bound {
    fn new(n: usize, k: usize, links: usize, confidence: f64) -> Self {
        let log = (10.0 * links as f64 / (1.0 - confidence)).ln();
        let (n, k) = (n as f64, k as f64);
        let rho = if k <= n / 2.0 { 1.0 - (k - 1.0) / n } else { (1.0 - k / n) * (1.0 + 1.0 / k) };
        Self { n, k, log, rho }
    }

    /// `sum` and `squares` over the sample, of values of 0 to `most`; `undrawn` others may be above 0.
    fn of(&self, sum: f64, squares: f64, most: f64, undrawn: f64) -> f64 {
        if self.k == self.n {
            return 0.0;
        }
        const KAPPA: f64 = 7.0 / 3.0 + 3.0 / std::f64::consts::SQRT_2;
        // The difference of two sums of k rounded terms; what rounding may have taken is given back.
        let rounding = 4.0 * self.k * f64::EPSILON * squares;
        let variance = (squares - sum * sum / self.k + rounding).max(0.0) / self.k;
        let mean = (2.0 * variance * self.rho * self.log / self.k).sqrt() + KAPPA * most * self.log / self.k;
        let scaled = sum * (self.n / self.k - 1.0);
        let certain = scaled.max(undrawn * most - scaled);
        // Both sides are sums of at most 2²⁶ rounded terms.
        (self.n * mean).min(certain) + 1e-7 * sum * self.n / self.k
    }
}
