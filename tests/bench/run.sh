#!/usr/bin/env bash
# Runs one benchmark against PyTorch, in a virtual environment of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
name=$1
shift
venv=${BENCH_VENV:-target/bench-venv}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c 'import torch, onnx, PIL' 2>/dev/null || "$venv/bin/pip" install --quiet torch onnx pillow
exec "$venv/bin/python" "tests/bench/$name.py" "$@"
