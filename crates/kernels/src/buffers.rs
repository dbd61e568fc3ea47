//! Large buffers that are used again: fresh memory has to be cleared and mapped page by page, which took a third of a
//! training step at low densities.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// Buffers below this many floats are left to the allocator.
const LEAST: usize = if cfg!(test) { 1 } else { 1 << 14 };
/// Floats that are kept at most, half a GiB: what a batch of 128 CIFAR images takes in a ResNet-20, and its evaluation.
const MOST: usize = 1 << 27;

static KEPT: Mutex<BTreeMap<usize, Vec<Vec<f32>>>> = Mutex::new(BTreeMap::new());

/// A buffer of `size` floats, whatever they are.
pub(crate) fn take(size: usize) -> Vec<f32> {
    let kept = if size < LEAST { None } else { lock().get_mut(&size).and_then(Vec::pop) };
    // Tests find out who does not write all of it.
    kept.unwrap_or_else(|| vec![if cfg!(test) { f32::NAN } else { 0.0 }; size])
}

/// Keeps a buffer for later layers of the same size, or frees it when enough are kept.
pub fn give(buffer: Vec<f32>) {
    let mut kept = lock();
    let floats: usize = kept.iter().map(|(size, buffers)| size * buffers.len()).sum();
    if buffer.len() >= LEAST && floats + buffer.len() <= MOST {
        kept.entry(buffer.len()).or_default().push(buffer);
    }
}

fn lock() -> MutexGuard<'static, BTreeMap<usize, Vec<Vec<f32>>>> {
    // Nothing can be half done under this lock.
    KEPT.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_by_size() {
        let mut buffer = vec![0.0; 77_777];
        buffer[3] = 5.0;
        give(buffer);
        assert!(take(77_778)[3].is_nan());
        assert_eq!(take(77_777)[3], 5.0);
        assert!(take(77_777)[3].is_nan());
    }
}
