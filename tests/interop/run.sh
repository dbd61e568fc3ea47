#!/bin/sh
# Models, keys and claims as other tools see them: safetensors, torch and zxing-cpp (Python), openssl. Makes its own virtual
# environment in target/interop-venv, which takes 2 to 3 minutes and up to 6 GB the first time (torch brings its CUDA
# libraries along).
# Usage: tests/interop/run.sh [BINARY], by default target/debug/counterfoil
set -eu

cd "$(dirname "$0")/../.."
binary=$(realpath "${1:-target/debug/counterfoil}")
venv=target/interop-venv

if ! "$venv/bin/python" -c 'import numpy, PIL, safetensors, torch, zxingcpp' 2>/dev/null; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet numpy pillow safetensors torch zxing-cpp
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$venv/bin/python" tests/interop/interop.py "$binary" "$folder"
