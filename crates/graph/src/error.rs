//! Why no mask graph could be built.

/// Why masks, values and a wiring do not make a mask graph.
///
/// Masks and descriptions come from files, so each of these can be met with a hostile or a mistaken one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// A wiring without layers has neither input nor classes.
    #[error("the wiring has no layers, expected at least one")]
    NoLayers,
    /// Skipping it would shift the carriers' numbers that enter the fingerprint.
    #[error("carrier '{carrier}' has a mask, but no layer of the architecture has this weight")]
    UnknownCarrier {
        /// Name of the weight tensor.
        carrier: String,
    },
    /// Two layers of one weight name would share a mask.
    #[error("carrier '{carrier}' is the weight of several layers, expected one")]
    RepeatedLayer {
        /// Name of the weight tensor.
        carrier: String,
    },
    /// The mask belongs to a tensor of another shape.
    #[error("carrier '{carrier}': the mask has {found} positions, expected {expected}")]
    MaskSize {
        /// Name of the weight tensor.
        carrier: String,
        /// Positions of the mask.
        found: usize,
        /// Positions of the carrier's shape.
        expected: u64,
    },
    /// Values were given for fewer or more positions than the layer has.
    #[error("carrier '{carrier}' has {found} values, expected {expected}")]
    ValueCount {
        /// Name of the weight tensor.
        carrier: String,
        /// Number of values.
        found: usize,
        /// Positions of the carrier's shape.
        expected: usize,
    },
    /// No values were given for a layer whose kernels are to be weighed.
    #[error("carrier '{carrier}' has no values, expected those of its kept weights")]
    NoValues {
        /// Name of the weight tensor.
        carrier: String,
    },
    /// A kept weight is NaN or infinite.
    #[error("carrier '{carrier}': the value at position {position} is not finite")]
    NotFinite {
        /// Name of the weight tensor.
        carrier: String,
        /// Flat index.
        position: usize,
    },
    /// Two layers disagree on the number of channels of a node group.
    #[error("layer '{layer}' has {found} channels in node group {group}, expected {expected} as in the layers before")]
    GroupWidth {
        /// Name of the later layer.
        layer: String,
        /// Node group.
        group: usize,
        /// Channels that the layer has there.
        found: u32,
        /// Channels that an earlier layer has there.
        expected: u32,
    },
    /// Groups are numbered without holes, and every one is read or written by a layer.
    #[error("node group {group} is neither read nor written by a layer")]
    UnusedGroup {
        /// Node group.
        group: usize,
    },
    /// Nothing computes the group before it is read.
    #[error("{reader} reads node group {group} before anything writes it")]
    ReadTooEarly {
        /// The layer or shortcut.
        reader: String,
        /// Node group.
        group: usize,
    },
    /// A shortcut would pass channels on to channels that its target does not have.
    #[error("the shortcut from node group {from} to {to} ends at channel {end}, but the group has {width}")]
    ShortcutRange {
        /// Node group that is read.
        from: usize,
        /// Node group that is added to.
        to: usize,
        /// One past the last channel it would write.
        end: u64,
        /// Channels of the target.
        width: u32,
    },
    /// Paths by weight need weights: see [`MaskGraph::weigh`](crate::MaskGraph::weigh).
    #[error("carrier '{carrier}' has not been weighed, expected the sum of |w| of its kernels")]
    NotWeighed {
        /// Name of the weight tensor.
        carrier: String,
    },
    /// One length or weight is expected for each edge of the mask graph.
    #[error("found {found} {what}, expected {expected}, one for each edge of the mask graph")]
    EdgeValues {
        /// Lengths or weights.
        what: &'static str,
        /// How many were given.
        found: usize,
        /// Edges of the mask graph.
        expected: usize,
    },
    /// Lengths are above 0, weights finite and not below.
    #[error("edge {edge} has the {what} {found}, expected {expected}")]
    EdgeValue {
        /// Length or weight.
        what: &'static str,
        /// Index of the edge in the mask graph.
        edge: usize,
        /// What was given.
        found: f64,
        /// What would do.
        expected: &'static str,
    },
    /// Shortest paths are counted in floats, which end near 1.8e308.
    #[error("more than 1e300 equally short paths lead to one channel, expected fewer")]
    TooManyShortestPaths,
    /// At least one source is drawn, and no more than there are.
    #[error("{found} sources were asked for, expected 1 to {limit}")]
    SourceCount {
        /// How many were asked for.
        found: usize,
        /// Channels of the unrolled network.
        limit: usize,
    },
    /// A source that is no channel of the unrolled network, or not above the one before.
    #[error("source {found} is out of place, expected ascending numbers below {limit}")]
    Source {
        /// The number that was given.
        found: u32,
        /// Channels of the unrolled network.
        limit: usize,
    },
    /// A bound that always holds would say nothing, one that never need hold too.
    #[error("confidence {found} was asked for, expected one between 0 and 1")]
    Confidence {
        /// What was asked for.
        found: f64,
    },
    /// The network is cut through, at least for paths of positive weight.
    #[error("no path leads from an input channel to a class, expected at least one")]
    NoPath,
    /// Found before allocating: see [`MAX_CHANNELS`](crate::MAX_CHANNELS), [`MAX_KERNELS`](crate::MAX_KERNELS),
    /// [`MAX_POSITIONS`](crate::MAX_POSITIONS).
    #[error("the graph has {found} {what}, expected at most {limit}")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        found: u128,
        /// How many may be.
        limit: u64,
    },
}
