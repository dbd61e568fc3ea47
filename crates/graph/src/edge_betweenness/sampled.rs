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

use super::search::{Lanes, Tally, sum};
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
/// Takes k / n of the time. The bounds are close where few nodes lie behind an edge, or most of the sources are drawn:
/// in a ResNet-50, where 1000 of 23,000 sources rank the edges much as all do (Spearman's ρ 0.8), they say nothing yet.
/// The same seed gives the same bytes on any number of threads. With as many sources as there are nodes, the result is
/// the exact one and its bounds are 0.
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
    fn add(&mut self, link: usize, dependencies: Lanes) {
        self.first[link] += sum(dependencies);
        self.second[link] += sum(dependencies.map(|d| d * d));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use counterfoil_ticket::{Architecture, ImageShape};

    use super::*;
    use crate::{MaskGraph, edge_betweenness};

    /// 4000 inputs, two hidden channels, three classes, and lengths that hardly tie: about half of the inputs reach a class
    /// by the one hidden channel, the others by the other.
    fn network() -> (Unrolled, Vec<f64>) {
        let input = ImageShape { channels: 10, height: 20, width: 20 };
        let net = Architecture::Mlp { input, hidden: vec![2], classes: 3 };
        let network = Unrolled::of(&MaskGraph::build(&net, &BTreeMap::new()).expect("built")).expect("small");
        let lengths = (0..network.edges()).map(|edge| (1 + edge * 7919 % 10_007) as f64).collect();
        (network, lengths)
    }

    #[test]
    fn bounds_hold_for_fixed_seeds_and_are_not_much_wider_than_they_need_be() {
        let (network, lengths) = network();
        let exact = edge_betweenness(&network, &lengths).expect("valid");
        // From the hidden channels to the last class: a source's dependency is at most 1.
        let last = network.edges() - 2..network.edges();
        let mut closest = 0.0f64;
        // Each seed fails with probability 1e-6 at most, so one of the twenty with 2e-5.
        for seed in 0..20 {
            let sampling = Sampling { sources: 2000, seed, confidence: 1.0 - 1e-6 };
            let sampled = sampled_edge_betweenness(&network, &lengths, &sampling).expect("valid");
            let pairs = sampled.estimate().edges().iter().zip(exact.edges());
            for (edge, ((estimate, exact), &bound)) in pairs.zip(sampled.bounds()).enumerate() {
                let error = (estimate - exact).abs();
                assert!(error <= bound, "seed {seed}, edge {edge}: {estimate} is further than {bound} from {exact}");
                if last.contains(&edge) {
                    assert!(bound < 0.5 * exact, "seed {seed}, edge {edge}: {bound} says little of {exact}");
                    closest = closest.max(error / bound);
                }
            }
        }
        assert!(closest > 0.05, "bounds are {} times too wide", 1.0 / closest);
    }

    #[test]
    fn all_sources_give_the_exact_values_and_no_error() {
        let (network, lengths) = network();
        let sampling = Sampling { sources: network.nodes(), seed: 3, confidence: 0.99 };
        let sampled = sampled_edge_betweenness(&network, &lengths, &sampling).expect("valid");
        assert_eq!(sampled.estimate(), &edge_betweenness(&network, &lengths).expect("valid"));
        assert!(sampled.bounds().iter().all(|&bound| bound == 0.0));
    }

    #[test]
    fn the_bound_is_that_of_the_theorem() {
        // n = 1000, k = 100, 7 links, confidence 0.3: ε = 0.01. Values of 0 or 1, half of each: v = 1/2.
        let bound = Bound::new(1000, 100, 7, 0.3).of(50.0, 50.0, 1.0, 900.0);
        let log = 100f64.ln();
        let mean = 0.5 * (2.0 * 0.901 * log / 100.0).sqrt() + (7.0 / 3.0 + 3.0 / 2f64.sqrt()) * log / 100.0;
        assert!((bound / (1000.0 * mean) - 1.0).abs() < 1e-6, "{bound}");
        // Of 2 undrawn sources with at most 1 each, the sum of 5 can become 5 to 7, and the estimate is 50.
        let certain = Bound::new(1000, 100, 7, 0.3).of(5.0, 5.0, 1.0, 2.0);
        assert!((certain - 45.0).abs() < 1e-4, "{certain}");
        // Above half: ρ = (1 − 0.9) (1 + 1/90).
        assert!((Bound::new(100, 90, 1, 0.5).rho - 0.1 * (91.0 / 90.0)).abs() < 1e-15);
    }

    #[test]
    fn counts_and_confidences_that_make_no_sense_are_refused() {
        let (network, lengths) = network();
        let of = |sources, confidence| {
            sampled_edge_betweenness(&network, &lengths, &Sampling { sources, seed: 0, confidence }).err()
        };
        assert_eq!(of(0, 0.5), Some(GraphError::SourceCount { found: 0, limit: 4005 }));
        assert_eq!(of(4006, 0.5), Some(GraphError::SourceCount { found: 4006, limit: 4005 }));
        assert_eq!(of(5, 1.0), Some(GraphError::Confidence { found: 1.0 }));
        assert_eq!(of(5, 0.0), Some(GraphError::Confidence { found: 0.0 }));
        assert!(matches!(of(5, f64::NAN), Some(GraphError::Confidence { .. })));
    }
}
