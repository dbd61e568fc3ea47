#!/usr/bin/env bash
# Runs one benchmark against Python packages, in a virtual environment that has them.
set -euo pipefail
cd "$(dirname "$0")/../.."
name=$1
shift
case $name in
graph)
  venv=${BENCH_VENV:-target/bench-graph-venv}
  packages=(networkx rustworkx scipy)
  imports="networkx, rustworkx, scipy"
  ;;
*)
  venv=${BENCH_VENV:-target/bench-venv}
  packages=(torch onnx pillow)
  imports="torch, onnx, PIL"
  ;;
esac
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c "import $imports" 2>/dev/null || "$venv/bin/pip" install --quiet "${packages[@]}"
exec "$venv/bin/python" "tests/bench/$name.py" "$@"
