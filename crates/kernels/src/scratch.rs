//! Room for padded planes, aligned to cache lines and kept by each thread.

use std::cell::RefCell;

use bytemuck::{Pod, Zeroable, cast_slice_mut};

/// A cache line of floats; what vectors are at most.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

thread_local! {
    static ROOM: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Lends two buffers of at least the given floats, whatever they hold, each starting on a cache line.
pub(crate) fn with_room<R>(sizes: [usize; 2], work: impl FnOnce(&mut [f32], &mut [f32]) -> R) -> R {
    let lines = sizes.map(|size| size.div_ceil(16));
    ROOM.with_borrow_mut(|room| {
        if room.len() < lines[0] + lines[1] {
            room.resize(lines[0] + lines[1], Line([0.0; 16]));
        }
        let (first, second) = room.split_at_mut(lines[0]);
        let first: &mut [f32] = cast_slice_mut(first);
        let second: &mut [f32] = cast_slice_mut(&mut second[..lines[1]]);
        work(&mut first[..sizes[0]], &mut second[..sizes[1]])
    })
}
