#!/usr/bin/env bash
# The suite's Slurm engine on a real cluster of one node: a job is killed in the middle, its driver too, and all runs are
# done in the end, with the same lines as on this machine alone. `make test-slurm`.
set -euo pipefail
counterfoil=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap '"$here/cluster.sh" stop "$work/cluster"; rm -rf "$work"' EXIT
"$here/cluster.sh" start "$work/cluster"
export SLURM_CONF="$work/cluster/slurm.conf"
cat > "$work/suite.toml" <<'SUITE'
data = "digits"
limit = 600

[[subject]]
name = "swaps"
width = 8
sparsity = 0.9
find-epochs = 2
train-epochs = 4
seeds = [0, 1]

[[attack]]
name = "prune-mag"
share = [0.1, 0.3, 0.5, 0.7]

[[attack]]
label = "long tuning"
stack = [{ name = "ft-all", epochs = 40, rate = 0.01 }]
SUITE
run() { "$counterfoil" suite run "$work/suite.toml" -o "$work/runs" --engine slurm --poll 1 "$@"; }
lines() { find "$work/runs/lines" -name '*.json' 2>/dev/null | wc -l; }
until_running() { for _ in $(seq 120); do squeue -h -t R -n "$1" | grep -q . && return; sleep 0.25; done; echo "no job of $1 runs" >&2; return 1; }

run --jobs 2 2> "$work/first.log" &
driver=$!
until_running counterfoil-subjects
# A subject's job is killed as by a lost node's operator: what it was doing stays open.
scancel --signal=KILL --name=counterfoil-subjects
until_running counterfoil-runs
kill -9 $driver
wait $driver 2>/dev/null || true
echo "after the driver was killed: $(lines) of 10 runs done"
# In the middle of the long runs, the jobs that are running are killed.
until_running counterfoil-runs && sleep 1
scancel --state=RUNNING --name=counterfoil-runs
run --jobs 2
test "$(lines)" = 10
! squeue -h | grep -q .

# Lines but for the time that they took.
facts() { python3 -c '
import json, sys
for line in open(sys.argv[1]):
    line = json.loads(line)
    print(json.dumps({k: v for k, v in line.items() if k not in ("seconds", "cost")}, sort_keys=True))' "$1"; }
"$counterfoil" suite run "$work/suite.toml" -o "$work/local" > /dev/null 2>&1
diff <(facts "$work/runs/results.jsonl") <(facts "$work/local/results.jsonl")
echo "slurm: 10 of 10 runs done, with the same lines as on one machine"
