#!/usr/bin/env python3
"""Turns the JSON lines of the example `triggers` into a table of docs/results/paper.md. Standard library only.

    python3 docs/results/triggers_table.py docs/results/triggers-digits.jsonl docs/images/triggers-digits.svg

One row for each attack: test accuracy and share of triggers hit (means over the seeds), for the model that learned derived
triggers, for the one that learned triggers of the owner's choice, and for the unmarked one; log2 p of the derived triggers
where they were learned, of the worst seed, and where they were not, of the best. The plot: hits after pruning by magnitude, with and
without training afterwards.
"""

import statistics
import sys

from curves import draw
from lines import minus, points, read


def main():
    rows = read(sys.argv[1], "attack", "subject")
    seeds = max(len(of) for of in rows.values())
    mean = lambda of, value: f"{statistics.mean(value(l) for l in of.values()):.1f}"
    hits = lambda kind: lambda l: 100 * l[kind]["hits"] / l[kind]["n"]
    print(f"{seeds} seeds.\n")
    print("| attack | derived: accuracy, % | hits, % | log2 p, worst | own choice: accuracy, % | hits, % | unmarked: accuracy, % "
          "| derived, hits % | own, hits % | log2 p, best |")
    print("| --- |" + " --- |" * 9)
    for attack in dict.fromkeys(attack for attack, _ in rows):
        derived, own, unmarked = (rows[attack, subject] for subject in ("derived", "own", "unmarked"))
        bits = lambda of, pick: minus(f"{pick(l['derived']['log2_p'] for l in of.values()):.1f}")
        print(f"| {attack} | {mean(derived, points)} | {mean(derived, hits('derived'))} | {bits(derived, max)} "
              f"| {mean(own, points)} | {mean(own, hits('own'))} | {mean(unmarked, points)} "
              f"| {mean(unmarked, hits('derived'))} | {mean(unmarked, hits('own'))} | {bits(unmarked, min)} |")
    if len(sys.argv) > 2:
        plot(rows, hits, sys.argv[2])


def plot(rows, hits, path):
    shares = [0, 5, 10, 20, 30, 50]
    mean = lambda attack, subject: statistics.mean(map(hits("own" if subject == "own" else "derived"), rows[attack, subject].values()))
    after = lambda subject, ending: [mean(f"prune-mag {s} %{ending}" if s else "none", subject) for s in shares]
    curves = {
        "derived": after("derived", ""),
        "derived, fine-tuned": after("derived", " + ft"),
        "own choice": after("own", ""),
        "own choice, fine-tuned": after("own", " + ft"),
        "unmarked": after("unmarked", ""),
    }
    draw(path, curves, [(s, f"{s} %") for s in shares], "pruned by magnitude", "triggers hit, %", ["unmarked"], (0, 101))


if __name__ == "__main__":
    main()
