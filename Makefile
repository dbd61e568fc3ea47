# What people run. Everything needs only Rust 1.95 and a C compiler; `interop` and `bench-train` also need Python with
# venv, and fetch PyTorch.

.PHONY: demo test interop fmt lint doc measure bench-train

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

# Speed, side by side with PyTorch (docs/performance.md).
bench-train:
	cargo build --release --locked -p counterfoil-train --example steps
	tests/bench/run.sh train target/release/examples/steps

# The figures of docs/results.md, hours on two cores; CIFAR is the folder of train/ and test/ images. It goes on behind the
# lines that are there: remove docs/results/*.jsonl to measure anew.
CIFAR ?= cifar10
measure:
	cargo build --release --locked -p counterfoil-attack --example strength
	target/release/examples/strength --seeds $$(seq -s, 32 63) --attacks ft-all --reinforce 0,1e-2 --keyed 3e-3,1e-2 \
	  -o docs/results/harmless-digits.jsonl
	target/release/examples/strength --seeds 0,1,2,3,4,5,6,7,8,9 --reinforce 0,1e-3,3e-3,6e-3,1e-2 \
	  --keyed 1e-3,3e-3,6e-3,1e-2 -o docs/results/strength-digits.jsonl
	target/release/examples/strength --data $(CIFAR) --limit 5000 --limit-test 10000 --seeds 0,1,2 --find-epochs 3 \
	  --train-epochs 12 --reinforce 1e-2,0,3e-3 --keyed 3e-3,1e-2 -o docs/results/strength-cifar.jsonl

fmt:
	cargo fmt --all --check

lint:
	cargo clippy --locked --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
