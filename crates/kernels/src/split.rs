//! How a batch is cut into blocks and chunks, whatever the number of threads, and which shortcut goes where.

use pulp::Simd;

use crate::layer::{ConvNorm, Kernels, Parameters, Shortcut};

/// Floats of padded planes that a chunk of blocks should not exceed: what fits a core's second cache.
const CHUNK_FLOATS: usize = 1 << 18;
/// Chunks that a batch is split into at least, if it has as many blocks: work for that many threads.
const LEAST_CHUNKS: usize = 4;

/// How a batch is split into blocks and chunks; sizes in floats per block.
pub(crate) struct Split {
    pub(crate) images: usize,
    pub(crate) lanes: usize,
    pub(crate) blocks: usize,
    /// Blocks of a chunk.
    pub(crate) chunk: usize,
    pub(crate) input: usize,
    pub(crate) output: usize,
    /// Floats of a shortcut's block, 0 without one.
    pub(crate) added: usize,
    /// Floats of a block's padded input and padded output gradient.
    pub(crate) padded: [usize; 2],
}

impl Split {
    pub(crate) fn new(kernels: Kernels, layer: &ConvNorm, images: usize) -> Self {
        let conv = &layer.connections.conv;
        let lanes = kernels.lanes();
        let blocks = images.div_ceil(lanes);
        let padded = [conv.padded_input(), conv.padded_gradient()].map(|planes| planes.size() * lanes);
        let chunk = (CHUNK_FLOATS / (padded[0] + padded[1])).min(blocks.div_ceil(LEAST_CHUNKS)).max(1);
        let added = match layer.shortcut {
            None => 0,
            Some(Shortcut::Identity) => conv.output_size(),
            Some(Shortcut::Subsampled { channels, height, width, .. }) => channels * height * width,
        };
        let (input, output) = (conv.input_size() * lanes, conv.output_size() * lanes);
        Self { images, lanes, blocks, chunk, input, output, added: added * lanes, padded }
    }

    /// Panics if a buffer has another size than the passes assume.
    pub(crate) fn check(&self, layer: &ConvNorm, x: &[f32], shortcut: Option<&[f32]>, parameters: Parameters) {
        let conv = &layer.connections.conv;
        assert_eq!(x.len(), self.blocks * self.input, "floats of the input");
        assert_eq!(shortcut.map_or(0, <[f32]>::len), self.blocks * self.added, "floats of the shortcut");
        let Parameters { weight, gamma, beta } = parameters;
        assert_eq!([weight.len(), gamma.len(), beta.len()], [conv.weights(), conv.channels_out, conv.channels_out]);
    }

    /// The chunks of a buffer that has the same number of floats for each block; of none, or none without
    /// images, as many empty ones.
    pub(crate) fn chunks_of<'a>(&self, buffer: Option<&'a mut [f32]>) -> Vec<&'a mut [f32]> {
        let Some(buffer) = buffer.filter(|buffer| !buffer.is_empty()) else {
            return (0..self.blocks.div_ceil(self.chunk)).map(|_| Default::default()).collect();
        };
        let size = buffer.len() / self.blocks;
        buffer.chunks_mut(self.chunk * size).collect()
    }

    /// Images of a block.
    pub(crate) fn valid(&self, block: usize) -> usize {
        (self.images - block * self.lanes).min(self.lanes)
    }

    pub(crate) fn shortcut<'a>(&self, shortcut: Option<&'a [f32]>, block: usize) -> &'a [f32] {
        shortcut.map_or(&[], |planes| &planes[block * self.added..(block + 1) * self.added])
    }

    /// 1 in lanes that hold an image; `None` where all do.
    #[inline(always)]
    pub(crate) fn mask<S: Simd>(&self, simd: S, block: usize) -> Option<S::f32s> {
        let valid = self.valid(block);
        (valid < self.lanes).then(|| {
            let mut lanes = [0.0; 64];
            lanes[..valid].fill(1.0);
            simd.partial_load_f32s(&lanes[..S::F32_LANES])
        })
    }
}

/// Which plane of a shortcut's block is added to channel `c` of the output.
#[inline(always)]
pub(crate) fn added_plane<V>(
    layer: &ConvNorm,
    planes: &[V],
    c: usize,
) -> Option<(std::ops::Range<usize>, usize, usize)> {
    let conv = &layer.connections.conv;
    match layer.shortcut? {
        Shortcut::Identity => {
            let plane = planes.len() / conv.channels_out;
            Some((c * plane..(c + 1) * plane, conv.width_out(), 1))
        }
        Shortcut::Subsampled { channels, height, width, step } => {
            let c = c.checked_sub((conv.channels_out - channels) / 2).filter(|&c| c < channels)?;
            Some((c * height * width..(c + 1) * height * width, width, step))
        }
    }
}
