//! The blocked layout: `[blocks, channels, height, width, lanes]`, image `i` in block `i / lanes`, lane `i % lanes`.
//! Lanes behind the last image are 0.

/// Planes `[images, size]` (size: channels × height × width) as blocks.
pub fn from_images(images: &[f32], size: usize, lanes: usize) -> Vec<f32> {
    let count = images.len() / size;
    let mut blocks = vec![0.0; count.div_ceil(lanes) * lanes * size];
    for (i, image) in images.chunks_exact(size).enumerate() {
        let block = &mut blocks[i / lanes * lanes * size..][..lanes * size];
        for (pixel, value) in image.iter().enumerate() {
            block[pixel * lanes + i % lanes] = *value;
        }
    }
    blocks
}

/// The first `images` images of blocks as planes `[images, size]`.
pub fn to_images(blocks: &[f32], images: usize, size: usize, lanes: usize) -> Vec<f32> {
    let mut planes = Vec::with_capacity(images * size);
    for i in 0..images {
        let block = &blocks[i / lanes * lanes * size..][..lanes * size];
        planes.extend((0..size).map(|pixel| block[pixel * lanes + i % lanes]));
    }
    planes
}
