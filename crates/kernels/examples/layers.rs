//! Times the layers of a CIFAR-sized ResNet-20, forward and backward, by density: `cargo run --release --example layers`.

use std::time::Instant;

use counterfoil_kernels::buffers::give;
use counterfoil_kernels::{ByInput, Connections, Conv, ConvNorm, Folded, Input, Kernels, Parameters, Planes, Saved};

fn main() {
    let kernels = Kernels::detect();
    let images = 128;
    println!(
        "{} lanes, {} threads, batch {images}",
        kernels.lanes(),
        std::thread::available_parallelism().map_or(1, |n| n.get())
    );
    for (channels_in, channels_out, size, stride) in
        [(3, 16, 32, 1), (16, 16, 32, 1), (16, 32, 32, 2), (32, 32, 16, 1), (32, 64, 16, 2), (64, 64, 8, 1)]
    {
        let conv = Conv {
            channels_in,
            channels_out,
            height: size,
            width: size,
            kernel: [3, 3],
            stride,
            padding: 1,
            groups: 1,
        };
        for density in [1.0, 0.05, 0.01] {
            let mut state = 1u64;
            let mut next = || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 40) as f32 / (1 << 24) as f32
            };
            let kept: Vec<bool> = (0..conv.weights()).map(|_| next() < density).collect();
            let weight: Vec<f32> = kept.iter().map(|&k| if k { next() - 0.5 } else { 0.0 }).collect();
            let (gamma, beta) = (vec![1.0; channels_out], vec![0.0; channels_out]);
            let x: Vec<f32> =
                (0..kernels.blocks(images) * kernels.lanes() * channels_in * size * size).map(|_| next()).collect();
            let layer =
                ConvNorm { connections: Connections::new(conv, Some(&kept)).into(), shortcut: None, relu: true };
            let parameters = Parameters { weight: &weight, gamma: &gamma, beta: &beta };
            let input = Input { values: &x, lines: None };
            let trained = kernels.train(&layer, images, input, None, parameters, true);
            let dy = trained.y.clone().expect("was asked for");
            let saved = Saved { x: input, z: &trained.z, statistics: &trained.statistics };
            // The fastest, since others use the machine too.
            let time = |work: &mut dyn FnMut()| {
                let timed = |_| {
                    let start = Instant::now();
                    work();
                    start.elapsed().as_secs_f64()
                };
                (0..15).map(timed).fold(f64::INFINITY, f64::min)
            };
            let forward = time(&mut || {
                let trained = kernels.train(&layer, images, input, None, parameters, true);
                give(trained.z);
                trained.y.into_iter().for_each(give);
            });
            let folded = Folded::new(&layer, parameters, &trained.statistics).expect("a 3x3 kernel can be folded");
            let image = Planes::from_fn(channels_in, [size, size], |c, i, j| x[(c * size + i) * size + j]);
            let single = time(&mut || {
                for _ in 0..images {
                    drop(kernels.infer(&folded, &image, None, 1));
                }
            }) / images as f64;
            let shared = time(&mut || {
                rayon::scope(|_| {
                    for _ in 0..images {
                        drop(kernels.infer(&folded, &image, None, 2));
                    }
                });
            }) / images as f64;
            let by_weight = time(&mut || drop(kernels.backward(&layer, images, saved, parameters, &dy, ByInput::No)));
            let backward = time(&mut || {
                kernels.backward(&layer, images, saved, parameters, &dy, ByInput::Found).x.into_iter().for_each(give);
            });
            let hidden_forward = time(&mut || give(kernels.train(&layer, images, input, None, parameters, false).z));
            let flops = 2.0
                * (images * conv.height_out() * conv.width_out()) as f64
                * kept.iter().filter(|&&k| k).count() as f64;
            println!(
                "{channels_in:3} -> {channels_out:3} at {size:2}/{stride}, {density:4}: forward {:6.2} ms ({:5.1} GFLOP/s), one image {:7.1} us ({:5.1} GFLOP/s; on two threads {:7.1}), backward {:6.2} ms ({:5.1} GFLOP/s; by weights alone {:6.2} ms), forward without output {:6.2} ms",
                forward * 1e3,
                flops / forward * 1e-9,
                single * 1e6,
                flops / images as f64 / single * 1e-9,
                shared * 1e6,
                backward * 1e3,
                2.0 * flops / backward * 1e-9,
                by_weight * 1e3,
                hidden_forward * 1e3,
            );
        }
    }
}
