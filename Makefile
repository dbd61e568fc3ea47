# What people run. Everything needs only Rust 1.95 and a C compiler; `interop` and `bench-train` also need Python with
# venv, and fetch PyTorch.

.PHONY: demo test interop test-gpu fmt lint doc measure bench-train

# The whole story on embedded data; see demo-out/ afterwards.
demo:
	cargo build --release --locked -p counterfoil-cli
	target/release/counterfoil demo

# All tests. The acceptance tests run the binary, which building the workspace's tests builds too.
test:
	cargo test --locked --workspace

# Files and signatures checked by other people's tools: safetensors, torch, openssl.
interop:
	cargo build --locked -p counterfoil-cli
	bash tests/interop/run.sh

# Training on a graphics adapter against the CPU (docs/performance.md). Builds Burn's wgpu, which takes long; as root it
# installs Mesa's Vulkan driver, which does without a GPU, if there is no other.
GPU = --locked --profile gpu -p counterfoil-cli -p counterfoil-acceptance --features counterfoil-cli/wgpu
test-gpu:
	bash tests/gpu/driver.sh
	cargo build $(GPU) --bin counterfoil
	cargo test $(GPU) --test gpu -- --ignored --nocapture

# Speed, side by side with PyTorch (docs/performance.md).
bench-train:
	cargo build --release --locked -p counterfoil-train --example steps
	tests/bench/run.sh train target/release/examples/steps

# The figures of docs/results.md: half an hour and an hour on two cores. CIFAR is the folder of train/ and test/ images.
CIFAR ?= cifar10
measure:
	rm -f docs/results/strength-digits.jsonl docs/results/strength-cifar.jsonl
	cargo build --release --locked -p counterfoil-attack --example strength
	target/release/examples/strength --seeds 0,1,2,3,4,5,6,7,8,9 --reinforce 0,1e-3,3e-3,6e-3,1e-2 \
	  --keyed 1e-3,3e-3,6e-3,1e-2 -o docs/results/strength-digits.jsonl
	target/release/examples/strength --data $(CIFAR) --limit 2500 --limit-test 10000 --seeds 0,1,2 --find-epochs 3 \
	  --train-epochs 12 --reinforce 1e-2 --keyed 3e-3 -o docs/results/strength-cifar.jsonl

fmt:
	cargo fmt --all --check

lint:
	cargo clippy --locked --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
