//! The blocked layout: `[blocks, channels, height, width, lanes]`, image `i` in block `i / lanes`, lane `i % lanes`.
//! Lanes behind the last image are 0.

use rayon::prelude::*;

use crate::buffers::take;

/// Planes `[images, size]` (size: channels × height × width) as blocks.
pub fn from_images(images: &[f32], size: usize, lanes: usize) -> Vec<f32> {
    from_fn(images.len() / size, size, lanes, |image, pixel| images[image * size + pixel])
}

/// Blocks of `images` images, `size` pixels each, whose values are `value(image, pixel)`.
pub fn from_fn(images: usize, size: usize, lanes: usize, value: impl Fn(usize, usize) -> f32 + Sync) -> Vec<f32> {
    let mut blocks = take(images.div_ceil(lanes) * lanes * size);
    blocks.par_chunks_mut(lanes * size).enumerate().for_each(|(block, values)| {
        let first = block * lanes;
        for (pixel, values) in values.chunks_exact_mut(lanes).enumerate() {
            for (lane, slot) in values.iter_mut().enumerate() {
                *slot = if first + lane < images { value(first + lane, pixel) } else { 0.0 };
            }
        }
    });
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

/// Means of `[channels, plane]` pixels by channel: `[images, channels]`.
pub fn average(blocks: &[f32], images: usize, channels: usize, lanes: usize) -> Vec<f32> {
    let mut means = vec![0.0; images * channels];
    if means.is_empty() {
        return means;
    }
    let plane = blocks.len() / (images.div_ceil(lanes) * channels);
    for (i, pixels) in blocks.chunks_exact(plane).enumerate() {
        let (block, channel) = (i / channels, i % channels);
        let mut sums = vec![0.0; lanes];
        for pixel in pixels.chunks_exact(lanes) {
            sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += value);
        }
        for (image, sum) in (block * lanes..images).zip(sums) {
            means[image * channels + channel] = sum * lanes as f32 / plane as f32;
        }
    }
    means
}

/// The gradient of [`average`], `[images, channels]`, by what the ReLU before it was given: spread over the pixels of `y`,
/// the blocks that were averaged, where these are above 0.
pub fn spread(gradient: &[f32], y: &[f32], images: usize, channels: usize, lanes: usize) -> Vec<f32> {
    let mut blocks = take(y.len());
    if y.is_empty() {
        return blocks;
    }
    let plane = y.len() / (images.div_ceil(lanes) * channels);
    blocks.par_chunks_mut(plane).zip(y.par_chunks(plane)).enumerate().for_each(|(i, (plane, y))| {
        let (block, channel) = (i / channels, i % channels);
        let mut values = vec![0.0; lanes];
        for (image, value) in (block * lanes..images).zip(&mut values) {
            *value = gradient[image * channels + channel] * lanes as f32 / y.len() as f32;
        }
        for (pixel, y) in plane.chunks_exact_mut(lanes).zip(y.chunks_exact(lanes)) {
            for ((slot, value), y) in pixel.iter_mut().zip(&values).zip(y) {
                *slot = if *y > 0.0 { *value } else { 0.0 };
            }
        }
    });
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_back_from_their_blocks() {
        let images: Vec<f32> = (0..5 * 3).map(|v| v as f32).collect();
        let blocks = from_images(&images, 3, 4);
        assert_eq!(blocks[..4], [0.0, 3.0, 6.0, 9.0]);
        assert_eq!(blocks[12..16], [12.0, 0.0, 0.0, 0.0]);
        assert_eq!(to_images(&blocks, 5, 3, 4), images);
    }

    #[test]
    fn averages_are_by_image_and_channel_and_their_gradient_is_spread() {
        // Three images of two channels with two pixels.
        let images: Vec<f32> = (0..12).map(|v| v as f32).collect();
        let means = average(&from_images(&images, 4, 2), 3, 2, 2);
        assert_eq!(means, [0.5, 2.5, 4.5, 6.5, 8.5, 10.5]);
        let blocks = from_images(&images, 4, 2);
        let spread = to_images(&spread(&means, &blocks, 3, 2, 2), 3, 4, 2);
        // The first pixel is 0: its ReLU lets nothing through.
        assert_eq!(spread[..4], [0.0, 0.25, 1.25, 1.25]);
    }
}
