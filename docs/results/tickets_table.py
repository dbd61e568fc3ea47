#!/usr/bin/env python3
"""Turns the JSON lines of the example `tickets` into a table of docs/results/paper.md. Standard library only.

    python3 docs/results/tickets_table.py docs/results/tickets-digits.jsonl
"""

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

SUBJECTS = ["ticket", "fresh weights", "shuffled mask"]


def main():
    rows = defaultdict(dict)
    for text in Path(sys.argv[1]).read_text().splitlines():
        line = json.loads(text)
        if line["seed"] in rows[line["sparsity"], line["subject"]]:
            raise SystemExit(f"{sys.argv[1]}: repeats seed {line['seed']} of {line['sparsity']}, {line['subject']}")
        rows[line["sparsity"], line["subject"]][line["seed"]] = line
    accuracy = lambda of: [100 * line["correct"] / line["of"] for line in of.values()]
    spread = lambda of: f"{statistics.mean(accuracy(of)):.1f} ± {statistics.stdev(accuracy(of)):.1f}"
    dense = rows[0.0, "dense"]
    print(f"{next(iter(dense.values()))['data']}, {len(dense)} seeds: dense {spread(dense)} %\n")
    print("| pruned | kept weights | ticket, % | same mask, fresh weights | same layer sparsities at random |")
    print("| --- | --- | --- | --- | --- |")
    for sparsity in sorted({sparsity for sparsity, _ in rows if sparsity}):
        kept = next(iter(rows[sparsity, "ticket"].values()))["kept"]
        print(f"| {100 * sparsity:.0f} % | {kept} | {' | '.join(spread(rows[sparsity, s]) for s in SUBJECTS)} |")


if __name__ == "__main__":
    main()
