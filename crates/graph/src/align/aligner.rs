//! What is aligned: masked layers of a ticket and of a suspect, and the node groups between them.

use counterfoil_ticket::{CarrierShape, Mask};

use super::kept_lists::{End, KeptLists};
use super::shift::{border, cropped, widest_border};

/// Most pairs of channels, one of the ticket and one of the suspect, of a group: 8 GiB of similarities and weights. ResNet-50
/// has 4 million.
pub const MAX_PAIRS: u64 = 1 << 29;

/// A layer's weight on one side: its shape and the positions that are kept.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// Shape of the weight.
    pub shape: CarrierShape,
    /// Kept positions; of the reference those alone that may be aligned on.
    pub kept: &'a Mask,
}

/// A masked layer of the ticket and what the suspect has in its place.
#[derive(Debug, Clone, Copy)]
pub struct AlignLayer<'a> {
    /// Node group that it reads.
    pub from: usize,
    /// Node group that it writes.
    pub to: usize,
    /// The ticket's.
    pub reference: Side<'a>,
    /// The suspect's. Its numbers of channels may be others.
    pub suspect: Side<'a>,
}

/// A shortcut without weights: channel c of `from` is channel c + offset of `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tie {
    /// Node group that is read.
    pub from: usize,
    /// Node group that is added to.
    pub to: usize,
    /// Where channel 0 arrives in the ticket.
    pub reference: u32,
    /// Where channel 0 arrives in the suspect.
    pub suspect: u32,
}

/// Why nothing can be aligned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AlignError {
    /// A mask that is not of its shape.
    #[error("layer {layer}: the mask has {found} positions, expected {expected}")]
    MaskSize {
        /// Index of the layer.
        layer: usize,
        /// Positions of the mask.
        found: usize,
        /// Positions of the shape.
        expected: u128,
    },
    /// Kernels that cannot be laid over each other.
    #[error(
        "layer {layer}: the suspect's kernels have {found:?} rows and columns, expected {expected:?} or more, as many on either side"
    )]
    Kernel {
        /// Index of the layer.
        layer: usize,
        /// The suspect's.
        found: [u32; 2],
        /// The ticket's.
        expected: [u32; 2],
    },
    /// Layers that meet a group with different numbers of channels.
    #[error("layer {layer}: node group {group} has {found} channels, expected {expected}")]
    GroupWidth {
        /// Index of the layer.
        layer: usize,
        /// The group.
        group: usize,
        /// Channels of the layer.
        found: u32,
        /// Channels of the layers before it.
        expected: u32,
    },
    /// More than can be held: positions of a layer, or pairs of channels of a group.
    #[error("{found} {what}, expected at most {limit}")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        found: u128,
        /// How many may be.
        limit: u64,
    },
}

/// One layer, indexed.
#[derive(Debug, Clone)]
pub(super) struct Indexed {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) reference: KeptLists,
    pub(super) suspect: KeptLists,
}

/// A node group: its channels on both sides, and the layers that meet it.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    /// Channels of the ticket.
    pub(super) reference: usize,
    /// Channels of the suspect.
    pub(super) suspect: usize,
    /// Layers, by index, and which end of theirs the group is.
    pub(super) roles: Vec<(usize, End)>,
    /// Whether its channels are known: those of the input and the classes.
    pub(super) is_fixed: bool,
}

/// Layers and groups, ready to be aligned.
#[derive(Debug, Clone)]
pub struct Aligner<'a> {
    pub(super) layers: Vec<Indexed>,
    pub(super) groups: Vec<Group>,
    pub(super) ties: Vec<Tie>,
    /// Where kernels are larger and hold something outside their centre, the layers: taps are summed, and shifts sought.
    pub(super) shifted: Option<Shifted<'a>>,
}

/// What shifts are found from.
#[derive(Debug, Clone)]
pub(super) struct Shifted<'a> {
    pub(super) layers: Vec<AlignLayer<'a>>,
    /// The reference's positions with their taps, for each layer.
    pub(super) reference: Vec<KeptLists>,
    /// The suspect's, in its larger frame.
    pub(super) suspect: Vec<KeptLists>,
}

impl<'a> Aligner<'a> {
    /// Indexes the layers. `fixed` are the groups whose channels are known, each by its index: the input and the classes.
    ///
    /// Groups that no layer meets stay empty; a tie of such a group, or a tie that leads beyond its group, is left out.
    ///
    /// # Errors
    ///
    /// [`AlignError`], before anything is allocated that a declared size alone would make large.
    pub fn new(layers: &[AlignLayer<'a>], ties: &[Tie], fixed: &[usize]) -> Result<Self, AlignError> {
        let mut groups: Vec<Group> = Vec::new();
        for (index, layer) in layers.iter().enumerate() {
            check(index, layer)?;
            for (group, end) in [(layer.from, End::Reads), (layer.to, End::Writes)] {
                if groups.len() <= group {
                    groups.resize(group + 1, Group::default());
                }
                let width = |shape: CarrierShape| if end == End::Reads { shape.inp } else { shape.out };
                let found = [width(layer.reference.shape), width(layer.suspect.shape)];
                let of_group = &mut groups[group];
                if of_group.roles.is_empty() {
                    (of_group.reference, of_group.suspect) = (found[0] as usize, found[1] as usize);
                }
                for (found, expected) in found.into_iter().zip([of_group.reference, of_group.suspect]) {
                    if found as usize != expected {
                        return Err(AlignError::GroupWidth { layer: index, group, found, expected: expected as u32 });
                    }
                }
                of_group.roles.push((index, end));
                of_group.is_fixed = fixed.contains(&group);
            }
        }
        for group in groups.iter().filter(|group| !group.is_fixed) {
            let found = group.reference as u128 * group.suspect as u128;
            if found > u128::from(MAX_PAIRS) {
                return Err(AlignError::TooLarge { what: "pairs of channels of a group", found, limit: MAX_PAIRS });
            }
        }
        let fits = |tie: &Tie| match (groups.get(tie.from), groups.get(tie.to)) {
            (Some(from), Some(to)) => {
                from.reference > 0
                    && from.reference + tie.reference as usize <= to.reference
                    && from.suspect + tie.suspect as usize <= to.suspect
            }
            _ => false,
        };
        let ties = ties.iter().filter(|tie| fits(tie)).copied().collect();
        let centres: Option<Vec<_>> = layers.iter().map(|l| cropped(l.reference.shape, l.suspect)).collect();
        let is_shifted = centres.is_none();
        let index = |(i, layer): (usize, &AlignLayer)| {
            let reference = KeptLists::new(layer.reference.shape, layer.reference.kept, is_shifted);
            let suspect = match &centres {
                Some(centres) => KeptLists::new(centres[i].0, &centres[i].1, false),
                None => KeptLists::new(layer.suspect.shape, layer.suspect.kept, true),
            };
            Indexed { from: layer.from, to: layer.to, reference, suspect }
        };
        let with_taps = |side: fn(&AlignLayer<'a>) -> Side<'a>| {
            layers.iter().map(side).map(|side| KeptLists::new(side.shape, side.kept, false)).collect()
        };
        let shifted = is_shifted.then(|| Shifted {
            layers: layers.to_vec(),
            reference: with_taps(|l| l.reference),
            suspect: with_taps(|l| l.suspect),
        });
        Ok(Self { layers: layers.iter().enumerate().map(index).collect(), groups, ties, shifted })
    }

    /// log2 of the number of alignments that there are: for each group that is aligned, the ways to give each channel of
    /// the smaller side one of the larger side's; and for each channel the shifts that its taps may have.
    pub fn log2_alignments(&self) -> f64 {
        let of_group = |group: &Group| {
            let (few, many) = (group.reference.min(group.suspect), group.reference.max(group.suspect));
            (many - few + 1..=many).map(|factor| (factor as f64).log2()).sum::<f64>()
        };
        let groups = || self.groups.iter().filter(|group| !group.is_fixed);
        let most = self.shifted.as_ref().map_or([0, 0], |shifted| widest_border(&shifted.layers));
        let shifts: f64 = most.iter().map(|&most| f64::from(2 * most + 1)).product();
        let channels: usize = groups().map(|group| group.reference).sum();
        groups().map(of_group).sum::<f64>() + channels as f64 * shifts.log2()
    }
}

/// Sizes of one layer.
fn check(index: usize, layer: &AlignLayer) -> Result<(), AlignError> {
    for Side { shape, kept } in [layer.reference, layer.suspect] {
        let expected = <[u32; 4]>::from(shape).iter().map(|&d| u128::from(d)).product();
        if kept.size() as u128 != expected {
            return Err(AlignError::MaskSize { layer: index, found: kept.size(), expected });
        }
        if expected > u128::from(u32::MAX) {
            let limit = u64::from(u32::MAX);
            return Err(AlignError::TooLarge { what: "positions of a layer", found: expected, limit });
        }
    }
    if border(layer.reference.shape, layer.suspect.shape).is_some() {
        return Ok(());
    }
    let kernel = |shape: CarrierShape| [shape.height, shape.width];
    let (found, expected) = (kernel(layer.suspect.shape), kernel(layer.reference.shape));
    Err(AlignError::Kernel { layer: index, found, expected })
}
