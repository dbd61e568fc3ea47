//! Shortest paths from a few sources at once, and what each link carries of them.
//!
//! The inner loops of Brandes' algorithm for graphs without cycles. Nodes come in topological order, so no queue is
//! needed. [`LANES`] sources lie side by side in a vector: a link is read once for all of them, and relaxing it is one
//! addition and one minimum. Distances are settled first; then the links are gone through once more, node by node while
//! they are in the first cache, for those that lie on a shortest path. With real weights these *tight* links are few
//! (ties are rare, so a source has about one a node), and all the rest of the work is done on them alone.

use crate::Unrolled;

/// Sources of a search: two vectors of 512 bits.
pub(super) const LANES: usize = 16;

/// A number for each source of a search.
type Lanes = [f64; LANES];

/// Shortest paths that one channel may have: more, and the sums of dependencies would run out of floats.
const MOST_PATHS: f64 = 1e300;

/// What a link carries, summed over sources.
pub(super) trait Tally {
    /// Adds the dependencies of a search's sources on a link, in the order of the sources.
    fn add(&mut self, link: usize, dependencies: &[f64; LANES]);
}

/// The arrays of a search, by node of the unrolled network; used again from search to search.
pub(super) struct Search<'a> {
    network: &'a Unrolled,
    lengths: &'a [f64],
    /// d(s, v). Invariant between searches: infinite below the first source of the last one.
    distances: Vec<Lanes>,
    /// σ(s, v), the number of shortest paths.
    paths: Vec<Lanes>,
    /// δ(s, v), the dependency of s on v: the sum of σ(s, t | v) / σ(s, t) over all t behind v.
    dependencies: Vec<Lanes>,
    /// Links on shortest paths, ascending.
    tight: Vec<u32>,
    /// The first source of the last search.
    first: usize,
}

impl<'a> Search<'a> {
    /// `lengths` are those of the links.
    pub(super) fn new(network: &'a Unrolled, lengths: &'a [f64]) -> Self {
        let nodes = network.nodes();
        Self {
            network,
            lengths,
            distances: vec![[f64::INFINITY; LANES]; nodes],
            paths: vec![[0.0; LANES]; nodes],
            dependencies: vec![[0.0; LANES]; nodes],
            tight: Vec::new(),
            first: 0,
        }
    }

    /// Adds what the links carry of the shortest paths from `sources`: 1 to [`LANES`] nodes, ascending.
    ///
    /// Returns false, and adds nothing, if there are too many shortest paths to count.
    #[inline(always)]
    pub(super) fn run(&mut self, sources: &[u32], tally: &mut impl Tally) -> bool {
        let first = sources[0] as usize;
        // Nothing leads from a source to a lower node. Links from there read infinity, and no paths.
        for node in self.first..first {
            self.distances[node] = [f64::INFINITY; LANES];
            self.paths[node] = [0.0; LANES];
        }
        self.first = first;
        self.tight.clear();
        let countable = self.settle(sources);
        if countable {
            self.accumulate(tally);
        }
        countable
    }

    /// Distances, numbers of paths and tight links of all nodes from the first source on.
    #[inline(always)]
    fn settle(&mut self, sources: &[u32]) -> bool {
        let mut most = 0.0f64;
        let mut waiting = sources.iter().copied().enumerate().peekable();
        for node in self.first..self.network.nodes() {
            let mut distance = [f64::INFINITY; LANES];
            let mut paths = [0.0; LANES];
            while let Some((lane, _)) = waiting.next_if(|&(_, source)| source as usize == node) {
                (distance[lane], paths[lane]) = (0.0, 1.0);
            }
            let range = self.network.range(node as u32);
            let (from, lengths) = (&self.network.sources()[range.clone()], &self.lengths[range.clone()]);
            for (&u, &length) in from.iter().zip(lengths) {
                let before = &self.distances[u as usize];
                for lane in 0..LANES {
                    let through = before[lane] + length;
                    distance[lane] = if through < distance[lane] { through } else { distance[lane] };
                }
            }
            self.distances[node] = distance;
            // Nothing equals NaN, so what is not reached has no tight links.
            let goal = distance.map(|d| if d == f64::INFINITY { f64::NAN } else { d });
            for (link, (&u, &length)) in range.zip(from.iter().zip(lengths)) {
                let before = &self.distances[u as usize];
                let mut hits = 0u32;
                for lane in 0..LANES {
                    hits |= u32::from(before[lane] + length == goal[lane]);
                }
                if hits != 0 {
                    let more = &self.paths[u as usize];
                    for lane in 0..LANES {
                        paths[lane] += if before[lane] + length == goal[lane] { more[lane] } else { 0.0 };
                    }
                    self.tight.push(link as u32);
                }
            }
            most = paths.iter().fold(most, |most, &paths| if paths > most { paths } else { most });
            self.paths[node] = paths;
            self.dependencies[node] = [0.0; LANES];
        }
        most <= MOST_PATHS
    }

    /// From the last node to the first: δ(s, u) += σ(s, u) / σ(s, v) · (1 + δ(s, v)) over the tight links (u, v).
    #[inline(always)]
    fn accumulate(&mut self, tally: &mut impl Tally) {
        let mut node = self.network.nodes();
        let mut start = usize::MAX;
        let mut share = [0.0; LANES];
        for &link in self.tight.iter().rev() {
            let link = link as usize;
            if link < start {
                while link < start {
                    node -= 1;
                    start = self.network.range(node as u32).start;
                }
                for lane in 0..LANES {
                    share[lane] = (1.0 + self.dependencies[node][lane]) / self.paths[node][lane];
                }
            }
            let u = self.network.sources()[link] as usize;
            let (length, before) = (self.lengths[link], &self.distances[u]);
            let (goal, paths) = (&self.distances[node], &self.paths[u]);
            let mut carried = [0.0; LANES];
            for lane in 0..LANES {
                // Where a source does not reach, infinity equals infinity.
                let tight = before[lane] + length == goal[lane] && goal[lane] < f64::INFINITY;
                carried[lane] = if tight { paths[lane] * share[lane] } else { 0.0 };
            }
            for lane in 0..LANES {
                self.dependencies[u][lane] += carried[lane];
            }
            tally.add(link, &carried);
        }
    }
}
