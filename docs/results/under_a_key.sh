#!/usr/bin/env bash
# The table of docs/finders.md, "Under a key": every finder on the digits, under a new key and without one.
#
#     docs/results/under_a_key.sh target/release/counterfoil
set -euo pipefail
tool=$(realpath "${1:-target/release/counterfoil}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# Progress goes to a log, which is shown if anything fails.
trap 'cat log >&2' ERR
find_ticket() { "$tool" find --data digits "$@" 2>> log; }
# Test accuracy of a ticket once it is trained.
accuracy() {
  "$tool" train "$1" --data digits --epochs 6 --seed 1 "${@:2}" -o "$1.bin" 2>> log | sed -n 's/^model: .*, \(.* %\) of .*/\1/p'
}

"$tool" keygen owner > /dev/null
find_ticket --arch mlp --epochs 6 --finder magnitude --sparsity 0.1 -o start > /dev/null
"$tool" train start --data digits --epochs 6 -o pretrained > /dev/null 2>> log
network="--arch mlp" training="--arch mlp --epochs 6" given="--pretrained pretrained"
echo "| finder | hook | log2 p, public | kept that move | accuracy with the key | without |"
echo "| --- | --- | --- | --- | --- | --- |"
while IFS='|' read -r name hook options; do
  rm -f keyed* plain*
  # shellcheck disable=SC2086 # Options are words.
  find_ticket $options --key owner.key --unencrypted -o keyed.safetensors > keyed.txt
  # shellcheck disable=SC2086
  find_ticket $options -o plain.safetensors > /dev/null
  bits=$(awk '$1 == 0 && $2 == "public" { print $6 }' keyed.txt)
  moved=$(sed -n -e 's/.* move (\(.* %\)).*/\1/p' -e 's/.* are dropped (\(.* %\)).*/\1, dropped/p' keyed.txt)
  with=$(accuracy keyed.safetensors --counterfoil keyed.counterfoil)
  without=$(accuracy plain.safetensors)
  if [ -z "$bits" ] || [ -z "$moved" ] || [ -z "$with" ] || [ -z "$without" ]; then
    echo "error: $name printed something else than expected" >&2
    exit 1
  fi
  echo "| $name | $hook | $bits | $moved | $with | $without |"
done <<ROWS
\`imp\`|decay|$training --finder imp --sparsity 0.9 --prune-share 0.54
\`magnitude\`|decay|$training --finder magnitude --sparsity 0.9
\`magnitude --pretrained\`|factor|$given --finder magnitude --sparsity 0.9
\`random\`|factor|$network --finder random --sparsity 0.9
\`snip\`|factor|$network --finder snip --sparsity 0.9
\`grasp\`|factor|$network --finder grasp --sparsity 0.9
\`synflow\`|factor|$network --finder synflow --sparsity 0.9
\`rigl\`|both|$training --finder rigl --sparsity 0.9
\`granet\`|both|$training --finder granet --sparsity 0.9
\`sap\`|decay|$training --finder sap --sparsity 0.9
\`edge-popup\`|factor|$training --finder edge-popup --sparsity 0.9
\`jackpot\`|factor|$given --epochs 6 --finder jackpot --sparsity 0.9
\`bip\`|factor|$training --finder bip --sparsity 0.9
\`nm\` (2:4)|decay|$training --finder nm
\`class-aware\`|factor|$training --finder class-aware --sparsity 0.9
\`channel\` (50 %)|decay|$training --finder channel --sparsity 0.5
ROWS
