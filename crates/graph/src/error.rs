//! Why no mask graph could be built.

/// Why masks, values and a wiring do not make a mask graph.
///
/// Masks and descriptions come from files, so each of these can be met with a hostile or a mistaken one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
