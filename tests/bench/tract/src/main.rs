//! Runs an ONNX network on one random CIFAR-sized image after the other with tract: a peer of `make bench-infer`.
//! Each line of the input, `one N`, is answered with the seconds that N images took.

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

use tract_onnx::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("expected an ONNX file")?;
    let plan = tract_onnx::onnx()
        .model_for_path(path)?
        .with_input_fact(0, f32::fact([1, 3, 32, 32]).into())?
        .into_optimized()?
        .into_runnable()?;
    let mut state = 1u64;
    let mut next = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let count: usize = line.strip_prefix("one ").ok_or("expected 'one N'")?.parse()?;
        let images: Vec<Tensor> =
            (0..count).map(|_| tract_ndarray::Array4::from_shape_fn((1, 3, 32, 32), |_| next()).into()).collect();
        let started = Instant::now();
        for image in images {
            drop(plan.run(tvec!(image.into()))?);
        }
        println!("{}", started.elapsed().as_secs_f64());
        std::io::stdout().flush()?;
    }
    Ok(())
}
