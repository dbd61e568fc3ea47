//! What this machine can do at most: multiply-adds a second on 1 and on all threads, and bytes a second through a copy
//! that is larger than any cache. `cargo run --release -p counterfoil-kernels --example peak`

use std::hint::black_box;
use std::time::Instant;

use pulp::{Arch, Simd, WithSimd};

/// Independent sums: enough to hide the latency of a multiply-add.
const SUMS: usize = 16;
const ROUNDS: usize = 4_000_000;

struct MultiplyAdds;

impl WithSimd for MultiplyAdds {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let (factor, summand) = (simd.splat_f32s(black_box(0.999)), simd.splat_f32s(black_box(0.001)));
        let mut sums = [simd.splat_f32s(1.0); SUMS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, factor, summand);
            }
        }
        for sum in sums {
            black_box(simd.reduce_sum_f32s(sum));
        }
        (2 * SUMS * ROUNDS * S::F32_LANES) as f64
    }
}

fn main() {
    let all = std::thread::available_parallelism().map_or(1, |n| n.get());
    for threads in [1, all] {
        let rates: Vec<f64> = (0..5)
            .map(|_| {
                let start = Instant::now();
                let flops: f64 = std::thread::scope(|scope| {
                    let run = || Arch::new().dispatch(MultiplyAdds);
                    let handles: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
                    handles.into_iter().map(|handle| handle.join().expect("no thread panics")).sum()
                });
                flops / start.elapsed().as_secs_f64() * 1e-9
            })
            .collect();
        println!("{threads} threads: {:.0} GFLOP/s", median(rates));
    }
    let size = 1 << 29;
    let (from, mut to) = (vec![1u8; size], vec![0u8; size]);
    let rates: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            std::thread::scope(|scope| {
                for (from, to) in from.chunks(size.div_ceil(all)).zip(to.chunks_mut(size.div_ceil(all))) {
                    scope.spawn(move || to.copy_from_slice(from));
                }
            });
            2.0 * size as f64 / start.elapsed().as_secs_f64() * 1e-9
        })
        .collect();
    println!("memory, read and written by {all} threads: {:.1} GB/s", median(rates));
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
