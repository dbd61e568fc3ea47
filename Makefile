# What people run. Everything needs only Rust 1.95 and a C compiler; `interop` and the benches also need Python: those against
# PyTorch make a virtual environment and fetch it, `bench-verify` and `bench-stamp` want Linux and 4 GB of disk.

.PHONY: demo test test-long interop test-slurm test-gpu fmt lint doc measure paper-scaled nulls grind bench-train bench-infer bench-imp bench-graph bench-verify bench-stamp

# The whole story on embedded data; see demo-out/ afterwards.
demo:
	cargo build --release --locked -p counterfoil-cli
	target/release/counterfoil demo

# All tests. The acceptance tests run the binary, which building the workspace's tests builds too.
test:
	cargo test --locked --workspace

# The statistics again with ten times as many keys: minutes, not part of CI.
test-long:
	COUNTERFOIL_KEYS=20000 cargo test --release --locked -p counterfoil-acceptance --test exact

# Files and signatures checked by other people's tools: safetensors, torch, openssl.
interop:
	cargo build --locked -p counterfoil-cli
	bash tests/interop/run.sh

# The suite on a real Slurm cluster of one node, with jobs and driver killed in the middle. As root, on Debian: installs
# slurm-wlm if it is not there.
test-slurm:
	cargo build --locked -p counterfoil-cli
	bash tests/slurm/run.sh target/debug/counterfoil

# Training on a graphics adapter against the CPU (docs/performance.md). Builds Burn's wgpu, which takes long; as root it
# installs Mesa's Vulkan driver, which does without a GPU, if there is no other.
GPU = --locked --profile gpu -p counterfoil-cli -p counterfoil-acceptance --features counterfoil-cli/wgpu
test-gpu:
	bash tests/gpu/driver.sh
	cargo build $(GPU) --bin counterfoil
	cargo test $(GPU) --test gpu -- --ignored --nocapture

# Speed, side by side with PyTorch and tract (docs/performance.md).
CIFAR ?= cifar10
# With the tool, so that its dependencies are not built once more with other features.
BENCH_BUILD = cargo build --release --locked -p counterfoil-cli -p counterfoil-train
RELEASE = $(or $(CARGO_TARGET_DIR),target)/release
bench-train:
	$(BENCH_BUILD) --example steps
	tests/bench/run.sh train $(RELEASE)/examples/steps

bench-infer:
	$(BENCH_BUILD) --example steps
	cargo build --release --locked --manifest-path tests/bench/tract/Cargo.toml --target-dir $(or $(CARGO_TARGET_DIR),target)/tract
	tests/bench/run.sh infer $(RELEASE)/examples/steps $(or $(CARGO_TARGET_DIR),target)/tract/release/counterfoil-bench-tract

# Needs CIFAR-10 as a folder of train/ and test/ images.
bench-imp:
	$(BENCH_BUILD) --example round
	tests/bench/run.sh imp $(RELEASE)/examples/round $(CIFAR)

# Edge betweenness against networkx and rustworkx; needs no PyTorch.
bench-graph:
	cargo build --release --locked -p counterfoil-graph --example betweenness
	tests/bench/run.sh graph $(RELEASE)/examples/betweenness

# Verifying against hashing, in time and memory; stamping against reading and writing.
bench-verify bench-stamp: bench-%:
	cargo build --release --locked -p counterfoil-cli
	python3 tests/bench/$*.py target/release/counterfoil

# The figures of docs/results.md, hours on two cores; CIFAR is the folder of train/ and test/ images. It goes on behind the
# lines that are there: remove docs/results/{strength,harmless}-*.jsonl to measure anew.
measure:
	cargo build --release --locked -p counterfoil-attack --example strength
	$(RELEASE)/examples/strength --seeds $$(seq -s, 32 63) --attacks ft-all --reinforce 1e-2 --keyed 3e-3 \
	  -o docs/results/harmless-digits.jsonl
	$(RELEASE)/examples/strength --seeds 0,1,2,3,4,5,6,7,8,9 --reinforce 0,1e-3,3e-3,6e-3,1e-2 \
	  --keyed 1e-3,3e-3,6e-3,1e-2 -o docs/results/strength-digits.jsonl
	$(RELEASE)/examples/strength --data $(CIFAR) --limit 5000 --limit-test 10000 --seeds 0,1,2 --find-epochs 3 \
	  --train-epochs 12 --reinforce 1e-2,0,3e-3 --keyed 3e-3,1e-2 -o docs/results/strength-cifar.jsonl

# The paper's tables at a size that two cores finish (docs/results/paper.md). Goes on behind the lines that are there.
SHORT = --data $(CIFAR) --limit-test 10000 --find-epochs 3 --train-epochs 12
SCALED = $(SHORT) --side 16 --limit 5000
TRANSFER = $(SHORT) --side 16 --limit 10000 --transfer
paper-scaled:
	@test -d "$(CIFAR)" || { echo "error: no folder '$(CIFAR)', expected CIFAR-10: make paper-scaled CIFAR=FOLDER"; exit 1; }
	cargo build --release --locked -p counterfoil-cli -p counterfoil-attack --examples
	$(RELEASE)/examples/tickets -o docs/results/tickets-digits.jsonl
	$(RELEASE)/examples/tickets $(SCALED) -o docs/results/tickets-cifar.jsonl
	$(RELEASE)/examples/tickets $(SCALED) --arch resnet18 --seeds 0 --sparsities 0.9876 -o docs/results/tickets-resnet18.jsonl
	$(RELEASE)/examples/lock --sparsity 0.99 -o docs/results/lock-digits.jsonl
	$(RELEASE)/examples/lock $(SCALED) --sparsity 0.98 --fractions 0.05,0.2,0.5 -o docs/results/lock-cifar.jsonl
	$(RELEASE)/examples/lock $(TRANSFER) --sparsity 0.98 --fractions 0.05,0.2 \
	  --strategies magnitude,ewp,betweenness,random -o docs/results/lock-transfer.jsonl
	$(RELEASE)/examples/triggers --seeds $$(seq -s, 0 19) -o docs/results/triggers-digits.jsonl
	$(RELEASE)/examples/finders -o docs/results/finders-digits.jsonl
	$(RELEASE)/examples/qr --find-epochs 3 --train-epochs 6 --attack-epochs 2 --seeds $$(seq -s, 0 19) \
	  -o docs/results/qr-digits.jsonl
	$(RELEASE)/examples/triggers $(SCALED) -o docs/results/triggers-cifar.jsonl
	python3 docs/results/fill.py docs/results/paper.md

# Models without the mark under other people's keys (docs/results/false-positives.md). Goes on behind the lines that are there;
# an hour on two cores.
nulls:
	mkdir -p bench-out
	cargo build --release --locked -p counterfoil-suite --example nulls
	$(RELEASE)/examples/nulls -o bench-out/nulls-digits.jsonl
	gzip -9nc bench-out/nulls-digits.jsonl > docs/results/nulls-digits.jsonl.gz
	python3 docs/results/nulls_table.py docs/results/nulls-digits.jsonl.gz

# What trying many keys, seeds and claims on one innocent suspect gains (docs/results/forgery.md).
grind:
	cargo build --release --locked -p counterfoil-suite --example grind
	$(RELEASE)/examples/grind
	$(RELEASE)/examples/grind --mlp --powers 10,16,20

fmt:
	cargo fmt --all --check

lint:
	cargo clippy --locked --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
