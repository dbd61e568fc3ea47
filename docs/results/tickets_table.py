#!/usr/bin/env python3
"""Turns the JSON lines of the example `tickets` into a table of docs/results/paper.md. Standard library only.

    python3 docs/results/tickets_table.py docs/results/tickets-digits.jsonl docs/images/tickets-digits.svg
"""

import statistics
import sys

from curves import draw
from lines import data_name, mean_and_spread, points, read

SUBJECTS = ["ticket", "fresh weights", "shuffled mask"]


def main():
    rows = read(sys.argv[1], "sparsity", "subject")
    spread = lambda of: mean_and_spread([points(line) for line in of.values()]) if of else "–"
    dense = rows[0.0, "dense"]
    first = next(iter(dense.values()))
    print(f"**{data_name(first)}**: {first['images']} training images, {first['of']} test images, seeds: {len(dense)}, "
          f"dense {spread(dense)} %\n")
    print("| pruned | kept weights | ticket, % | same mask, fresh weights | same layer sparsities at random |")
    print("| --- | --- | --- | --- | --- |")
    sparsities = sorted({sparsity for sparsity, _ in rows if sparsity})
    for sparsity in sparsities:
        kept = next(iter(rows[sparsity, "ticket"].values()))["kept"]
        print(f"| {100 * sparsity:.4g} % | {kept} | {' | '.join(spread(rows[sparsity, s]) for s in SUBJECTS)} |")
    if len(sys.argv) > 2:
        mean = lambda of: statistics.mean(map(points, of.values()))
        curves = {"dense": [mean(dense)] * len(sparsities)}
        curves |= {subject: [mean(rows[s, subject]) for s in sparsities] for subject in SUBJECTS}
        places = [(place, f"{100 * (1 - s):.3g} %") for place, s in enumerate(sparsities)]
        draw(sys.argv[2], curves, places, "weights kept", "accuracy, %", dashed=["dense"])


if __name__ == "__main__":
    main()
