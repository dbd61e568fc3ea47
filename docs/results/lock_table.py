#!/usr/bin/env python3
"""Turns the JSON lines of the example `lock` into the table and the plot of docs/results/paper.md. Standard library only.

    python3 docs/results/lock_table.py docs/results/lock-digits.jsonl docs/images/lock-digits.svg

One row for each strategy and share held back: test accuracy (mean ± standard deviation over the seeds) of the locked ticket
as it is, with as many positions guessed at random, and by magnitude of the rewound weights; how much less than the whole
ticket of the same seed the better of an attacker's three ways is (mean and standard error); and log2 p of the mark's public
half in the locked ticket, of the worst seed.
"""

import statistics
import sys

from curves import draw
from lines import data_name, mean_and_spread, minus, points, read, standard_error

STRATEGIES = ["magnitude", "ewp", "random-path", "betweenness", "taylor", "hessian", "integrated-gradients", "random"]
VARIANTS = ["locked", "add-back-rand", "add-back-mag"]


def gap(rows, strategy, fraction, variants):
    """The best of the variants less the whole ticket, by seed."""
    whole = rows["none", 0.0, "whole"]
    present = [rows[strategy, fraction, v] for v in variants if (strategy, fraction, v) in rows]
    seeds = sorted(set(whole).intersection(*present))
    return [max(points(of[seed]) for of in present) - points(whole[seed]) for seed in seeds]


def table(rows):
    whole = rows["none", 0.0, "whole"]
    line = next(iter(whole.values()))
    print(f"**{data_name(line)}**: {line['images']} training images, {line['of']} test images, {len(whole)} seeds, "
          f"{line['kept']} kept weights\n\nWhole: {mean_and_spread([points(l) for l in whole.values()])} %\n")
    print("| strategy | held back | locked, % | guessed at random | guessed by magnitude | best of these − whole, points | "
          "standard error | log2 p, locked |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    fractions = sorted({fraction for _, fraction, variant in rows if variant != "whole"})
    for strategy in STRATEGIES:
        for fraction in fractions:
            cells = []
            for variant in VARIANTS:
                of = rows.get((strategy, fraction, variant))
                cells.append(mean_and_spread([points(l) for l in of.values()]) if of else "–")
            if cells == ["–"] * 3:
                continue
            gaps = gap(rows, strategy, fraction, VARIANTS)
            masks = [l["mask"]["public"]["log2_p"] for l in rows[strategy, fraction, "locked"].values() if "mask" in l]
            bits = minus(f"{max(masks):.0f}") if masks else "–"
            mean = minus(f"{statistics.mean(gaps):.2f}")
            print(f"| {strategy} | {100 * fraction:.0f} % | {' | '.join(cells)} | {mean} | {standard_error(gaps)} | {bits} |")
    print()


def plot(rows, path):
    """Accuracy of the locked ticket less that of the whole one, against the share held back."""
    fractions = sorted({fraction for _, fraction, variant in rows if variant == "locked"})
    curves = {s: [statistics.mean(gap(rows, s, f, ["locked"])) for f in fractions] for s in STRATEGIES}
    curves = {s: values for s, values in curves.items() if values}
    places = [(fraction, f"{100 * fraction:.0f} %") for fraction in fractions]
    draw(path, curves, places, "share held back", "locked − whole, points", dashed=["random"])


def main():
    rows = read(sys.argv[1], "strategy", "fraction", "variant")
    table(rows)
    if len(sys.argv) > 2:
        plot(rows, sys.argv[2])


if __name__ == "__main__":
    main()
