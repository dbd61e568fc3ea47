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
from pathlib import Path

from lines import mean_and_spread, minus, points, read, standard_error

STRATEGIES = ["magnitude", "ewp", "random-path", "betweenness", "taylor", "hessian", "integrated-gradients", "random"]
VARIANTS = ["locked", "add-back-rand", "add-back-mag"]
COLOURS = ["#1b6ca8", "#c0392b", "#27ae60", "#8e44ad", "#d68910", "#16a085", "#7f8c8d", "#2c3e50"]


def gap(rows, strategy, fraction, variants):
    """The best of the variants less the whole ticket, by seed."""
    whole = rows["none", 0.0, "whole"]
    present = [rows[strategy, fraction, v] for v in variants if (strategy, fraction, v) in rows]
    seeds = sorted(set(whole).intersection(*present))
    return [max(points(of[seed]) for of in present) - points(whole[seed]) for seed in seeds]


def table(rows):
    whole = rows["none", 0.0, "whole"]
    line = next(iter(whole.values()))
    print(f"### {line['data']}: {line['images']} training images, {line['of']} test images, {len(whole)} seeds, "
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
    low = min(min(values) for values in curves.values()) - 0.5
    high = max(max(values) for values in curves.values()) + 0.5
    width, height, left, top, right, bottom = 640, 380, 60, 20, 170, 45
    x = lambda f: left + (width - left - right) * f / max(fractions)
    y = lambda v: top + (height - top - bottom) * (high - v) / (high - low)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
           f'font-size="12"><rect width="{width}" height="{height}" fill="white"/>']
    step = 1 if high - low < 12 else 5
    for tick in range(int(low // step) * step, int(high) + 1, step):
        if low <= tick <= high:
            colour = "#888" if tick == 0 else "#ddd"
            out.append(f'<line x1="{left}" x2="{width - right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="{colour}"/>')
            out.append(f'<text x="{left - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{minus(str(tick))}</text>')
    for fraction in fractions:
        out.append(f'<text x="{x(fraction):.1f}" y="{height - bottom + 18}" text-anchor="middle">{100 * fraction:.0f} %</text>')
    out.append(f'<text x="{(left + width - right) / 2}" y="{height - 8}" text-anchor="middle">share held back</text>')
    middle = (top + height - bottom) / 2
    out.append(f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">locked − whole, points</text>')
    for index, (strategy, values) in enumerate(curves.items()):
        path_points = " ".join(f"{x(f):.1f},{y(v):.1f}" for f, v in zip(fractions, values))
        colour, dash = COLOURS[index], ' stroke-dasharray="5 4"' if strategy == "random" else ""
        out.append(f'<polyline points="{path_points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        at = top + 14 + 20 * index
        out.append(f'<line x1="{width - right + 14}" x2="{width - right + 34}" y1="{at - 4}" y2="{at - 4}" '
                   f'stroke="{colour}" stroke-width="2"{dash}/>')
        out.append(f'<text x="{width - right + 40}" y="{at}">{strategy}</text>')
    Path(path).write_text("\n".join(out + ["</svg>"]) + "\n")


def main():
    rows = read(sys.argv[1], "strategy", "fraction", "variant")
    table(rows)
    if len(sys.argv) > 2:
        plot(rows, sys.argv[2])


if __name__ == "__main__":
    main()
