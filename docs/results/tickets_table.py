#!/usr/bin/env python3
"""Turns the JSON lines of the example `tickets` into a table of docs/results/paper.md. Standard library only.

    python3 docs/results/tickets_table.py docs/results/tickets-digits.jsonl
"""

import sys

from lines import mean_and_spread, points, read

SUBJECTS = ["ticket", "fresh weights", "shuffled mask"]


def main():
    rows = read(sys.argv[1], "sparsity", "subject")
    spread = lambda of: mean_and_spread([points(line) for line in of.values()]) if of else "–"
    dense = rows[0.0, "dense"]
    print(f"{next(iter(dense.values()))['data']}, {len(dense)} seeds: dense {spread(dense)} %\n")
    print("| pruned | kept weights | ticket, % | same mask, fresh weights | same layer sparsities at random |")
    print("| --- | --- | --- | --- | --- |")
    for sparsity in sorted({sparsity for sparsity, _ in rows if sparsity}):
        kept = next(iter(rows[sparsity, "ticket"].values()))["kept"]
        print(f"| {100 * sparsity:.0f} % | {kept} | {' | '.join(spread(rows[sparsity, s]) for s in SUBJECTS)} |")


if __name__ == "__main__":
    main()
