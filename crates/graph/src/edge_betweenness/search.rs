//! Shortest paths from a few sources at once, and what each link carries of them.
//!
//! The inner loops of Brandes' algorithm for graphs without cycles. Nodes come in topological order, so no queue is
//! needed. [`LANES`] sources lie side by side in a vector: a link is read once for all of them, and relaxing it is one
//! addition and one minimum. Distances are settled first; then the links are gone through once more, node by node while
//! they are in the first cache, for those that lie on a shortest path. With real weights these *tight* links are few
//! (ties are rare, so a source has about one a node), and all the rest of the work is done on them alone.

use pulp::{Arch, Simd, WithSimd};

use crate::Unrolled;

/// Sources of a search: two vectors of 512 bits.
pub(super) const LANES: usize = 16;

/// A number for each source of a search.
pub(super) type Lanes = [f64; LANES];

/// Shortest paths that one channel may have: more, and the sums of dependencies would run out of floats.
const MOST_PATHS: f64 = 1e300;

/// What a link carries, summed over sources.
pub(super) trait Tally {
    /// Adds the dependencies of a search's sources on a link.
    fn add(&mut self, link: usize, dependencies: Lanes);
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
    pub(super) fn run(&mut self, sources: &[u32], tally: &mut impl Tally) -> bool {
        self.begin(sources);
        Arch::new().dispatch(Run { search: self, sources, tally })
    }

    /// Nothing leads from a source to a lower node; what links from there read is that no source reaches them.
    fn begin(&mut self, sources: &[u32]) {
        let first = sources[0] as usize;
        if let Some(lower) = self.distances.get_mut(self.first..first) {
            lower.fill([f64::INFINITY; LANES]);
        }
        self.first = first;
        self.tight.clear();
    }

    /// Distances, numbers of paths and tight links of all nodes from the first source on. False if there are too many
    /// paths.
    #[inline(always)]
    fn settle<S: Simd, const PARTS: usize>(&mut self, simd: S, sources: &[u32]) -> bool {
        let none = simd.splat_f64s(0.0);
        let (far, nan) = (simd.splat_f64s(f64::INFINITY), simd.splat_f64s(f64::NAN));
        let mut most = [none; PARTS];
        let mut waiting = sources.iter().copied().enumerate().peekable();
        for node in self.first..self.network.nodes() {
            let (mut start, mut paths) = ([f64::INFINITY; LANES], [0.0; LANES]);
            while let Some((lane, _)) = waiting.next_if(|&(_, source)| source as usize == node) {
                (start[lane], paths[lane]) = (0.0, 1.0);
            }
            let mut distance: [S::f64s; PARTS] = load::<S, PARTS>(simd, &start);
            let mut paths: [S::f64s; PARTS] = load::<S, PARTS>(simd, &paths);
            let range = self.network.range(node as u32);
            let (from, lengths) = (&self.network.sources()[range.clone()], &self.lengths[range.clone()]);
            for (&u, &length) in from.iter().zip(lengths) {
                let length = simd.splat_f64s(length);
                let before: [S::f64s; PARTS] = load::<S, PARTS>(simd, &self.distances[u as usize]);
                for part in 0..PARTS {
                    distance[part] = simd.min_f64s(distance[part], simd.add_f64s(before[part], length));
                }
            }
            // Nothing equals NaN, so what is not reached has no tight links.
            let mut goal = distance;
            for goal in &mut goal {
                *goal = simd.select_f64s(simd.less_than_f64s(*goal, far), *goal, nan);
            }
            for (link, (&u, &length)) in range.zip(from.iter().zip(lengths)) {
                let length = simd.splat_f64s(length);
                let before: [S::f64s; PARTS] = load::<S, PARTS>(simd, &self.distances[u as usize]);
                let mut tight = [simd.equal_f64s(nan, nan); PARTS];
                let mut any = tight[0];
                for part in 0..PARTS {
                    tight[part] = simd.equal_f64s(simd.add_f64s(before[part], length), goal[part]);
                    any = simd.or_m64s(any, tight[part]);
                }
                if simd.first_true_m64s(any) < S::F64_LANES {
                    let more: [S::f64s; PARTS] = load::<S, PARTS>(simd, &self.paths[u as usize]);
                    for part in 0..PARTS {
                        paths[part] = simd.add_f64s(paths[part], simd.select_f64s(tight[part], more[part], none));
                    }
                    self.tight.push(link as u32);
                }
            }
            for part in 0..PARTS {
                most[part] = simd.max_f64s(most[part], paths[part]);
            }
            store::<S, PARTS>(&mut self.distances[node], distance);
            store::<S, PARTS>(&mut self.paths[node], paths);
            self.dependencies[node] = [0.0; LANES];
        }
        most.into_iter().all(|most| simd.reduce_max_f64s(most) <= MOST_PATHS)
    }

    /// From the last node to the first: δ(s, u) += σ(s, u) / σ(s, v) · (1 + δ(s, v)) over the tight links (u, v).
    #[inline(always)]
    fn accumulate<S: Simd, const PARTS: usize>(&mut self, simd: S, tally: &mut impl Tally) {
        let (none, one, far) = (simd.splat_f64s(0.0), simd.splat_f64s(1.0), simd.splat_f64s(f64::INFINITY));
        let mut node = self.network.nodes();
        let mut start = usize::MAX;
        let (mut share, mut goal) = ([none; PARTS], [none; PARTS]);
        for &link in self.tight.iter().rev() {
            let link = link as usize;
            if link < start {
                while link < start {
                    node -= 1;
                    start = self.network.range(node as u32).start;
                }
                let behind: [S::f64s; PARTS] = load::<S, PARTS>(simd, &self.dependencies[node]);
                let paths: [S::f64s; PARTS] = load::<S, PARTS>(simd, &self.paths[node]);
                goal = load::<S, PARTS>(simd, &self.distances[node]);
                for part in 0..PARTS {
                    // No share where a source does not reach, for there infinity equals infinity.
                    let each = simd.div_f64s(simd.add_f64s(one, behind[part]), paths[part]);
                    share[part] = simd.select_f64s(simd.less_than_f64s(goal[part], far), each, none);
                }
            }
            let u = self.network.sources()[link] as usize;
            let length = simd.splat_f64s(self.lengths[link]);
            let before: [S::f64s; PARTS] = load::<S, PARTS>(simd, &self.distances[u]);
            let paths: [S::f64s; PARTS] = load::<S, PARTS>(simd, &self.paths[u]);
            let mut behind: [S::f64s; PARTS] = load::<S, PARTS>(simd, &self.dependencies[u]);
            let mut carried = [none; PARTS];
            for part in 0..PARTS {
                let tight = simd.equal_f64s(simd.add_f64s(before[part], length), goal[part]);
                carried[part] = simd.select_f64s(tight, simd.mul_f64s(paths[part], share[part]), none);
                behind[part] = simd.add_f64s(behind[part], carried[part]);
            }
            store::<S, PARTS>(&mut self.dependencies[u], behind);
            let mut lanes = [0.0; LANES];
            store::<S, PARTS>(&mut lanes, carried);
            tally.add(link, lanes);
        }
    }
}

/// A search, to be compiled for each width of vectors.
struct Run<'r, 'a, T> {
    search: &'r mut Search<'a>,
    sources: &'r [u32],
    tally: &'r mut T,
}

impl<T: Tally> WithSimd for Run<'_, '_, T> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> bool {
        match S::F64_LANES {
            8 => self.in_parts::<S, { LANES / 8 }>(simd),
            4 => self.in_parts::<S, { LANES / 4 }>(simd),
            2 => self.in_parts::<S, { LANES / 2 }>(simd),
            _ => self.in_parts::<S, LANES>(simd),
        }
    }
}

impl<T: Tally> Run<'_, '_, T> {
    /// `PARTS` vectors hold the lanes.
    #[inline(always)]
    fn in_parts<S: Simd, const PARTS: usize>(self, simd: S) -> bool {
        let countable = self.search.settle::<S, PARTS>(simd, self.sources);
        if countable {
            self.search.accumulate::<S, PARTS>(simd, self.tally);
        }
        countable
    }
}

#[inline(always)]
fn load<S: Simd, const PARTS: usize>(simd: S, lanes: &Lanes) -> [S::f64s; PARTS] {
    let mut parts = [simd.splat_f64s(0.0); PARTS];
    parts.copy_from_slice(S::as_simd_f64s(lanes).0);
    parts
}

#[inline(always)]
fn store<S: Simd, const PARTS: usize>(lanes: &mut Lanes, parts: [S::f64s; PARTS]) {
    S::as_mut_simd_f64s(lanes).0.copy_from_slice(&parts);
}

/// The sum over the lanes, halves onto halves, in the same order on every machine.
#[inline(always)]
pub(super) fn sum(mut lanes: Lanes) -> f64 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use counterfoil_ticket::{Architecture, ImageShape};

    use super::*;
    use crate::MaskGraph;

    struct ByLink(Vec<Lanes>);

    impl Tally for ByLink {
        fn add(&mut self, link: usize, dependencies: Lanes) {
            self.0[link] = dependencies;
        }
    }

    #[test]
    fn vectors_of_any_width_give_the_same_bytes() {
        let input = ImageShape { channels: 3, height: 8, width: 8 };
        let net = Architecture::Resnet20 { input, width: 4, classes: 10 };
        let network = Unrolled::of(&MaskGraph::build(&net, &BTreeMap::new()).expect("built")).expect("small");
        // Sixths, so that sums are rounded, and few of them, so that paths tie.
        let lengths: Vec<f64> = (0..network.links()).map(|link| (1 + link * link % 6) as f64 / 6.0).collect();
        let run = |run: &dyn Fn(Run<ByLink>) -> bool| {
            let (mut search, mut tally) =
                (Search::new(&network, &lengths), ByLink(vec![[0.0; LANES]; network.links()]));
            // The second search begins later than the first, and does not fill its lanes.
            for sources in [&[0, 1, 2, 3, 5, 8, 13, 21, 34, 35, 36, 37, 38, 39, 40, 55][..], &[30, 31, 50]] {
                search.begin(sources);
                assert!(run(Run { search: &mut search, sources, tally: &mut tally }));
            }
            tally.0
        };
        let scalar = run(&|search| search.with_simd(pulp::Scalar::new()));
        assert!(scalar.iter().any(|lanes| lanes[2] > 1.0));
        assert_eq!(scalar, run(&|search| Arch::new().dispatch(search)));
        #[cfg(target_arch = "x86_64")]
        if let Some(v3) = pulp::x86::V3::try_new() {
            assert_eq!(scalar, run(&|search| Simd::vectorize(v3, search)));
        }
    }
}
