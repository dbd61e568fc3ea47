#!/usr/bin/env python3
"""Turns the JSON lines of the example `qr` into the tables of docs/results/paper.md. Standard library only.

    python3 docs/results/qr_table.py docs/results/qr-digits.jsonl docs/images/qr-digits.svg

First what laying a code over costs: kernels opened and closed, share of the kept positions that move, accuracy less that of the
same ticket without a code. Then one row for each attack: on how many of the seeds the owner's and the thief's code is read, the
share of data modules that are not as they were laid over and test accuracy (means), and log2 p of the panels of the worst seed. The plot: codes read after pruning, code alone.
"""

import statistics
import sys
from collections import defaultdict

from curves import draw
from lines import mean_and_spread, minus, points, read


def by_density(path):
    """density -> (subject, attack) -> seed -> line"""
    rows = defaultdict(dict)
    for (density, subject, attack), seeds in read(path, "density", "subject", "attack").items():
        rows[density][subject, attack] = seeds
    return rows


def costs(rows):
    print("| ticket keeps | seeds | opened | closed | moved | accuracy with code − without, points | with code and stamp − without |")
    print("| --- |" + " --- |" * 6)
    for density, of in sorted(rows.items()):
        plain, code, both = (of[subject, "none"] for subject in ("plain", "code", "code and stamp"))
        took = [line["embedding"] for line in code.values()]
        mean = lambda field: f"{statistics.mean(e[field] for e in took):.0f}"
        moved = statistics.mean(e["moved"] / e["ticket_kept"] for e in took)
        less = lambda subject: mean_and_spread([points(subject[seed]) - points(plain[seed]) for seed in subject], 2)
        print(f"| {100 * density:g} % | {len(code)} | {mean('opened')} | {mean('closed')} | {100 * moved:.1f} % "
              f"| {less(code)} | {less(both)} |")
    print()


def attacks(of):
    print("| attack | code alone: read, of | damaged | accuracy, % | with a stamp: read, of | thief's code read | damaged "
          "| accuracy, % | log2 p, worst: public | sealed |")
    print("| --- |" + " --- |" * 9)
    data = next(iter(of["code", "none"].values()))["embedding"]["data_modules"]
    damaged = lambda lines: f"{100 * statistics.mean(line['damaged'] / data for line in lines):.1f} %"
    reads = lambda lines, who: sum(line["read"][who] for line in lines)
    mean = lambda lines: f"{statistics.mean(map(points, lines)):.1f}"
    for attack in dict.fromkeys(attack for subject, attack in of if subject == "code and stamp"):
        alone, both = (list(of.get((subject, attack), {}).values()) for subject in ("code", "code and stamp"))
        worst = [minus(f"{max(line['log2_p'][which] for line in both):.0f}") for which in ("public", "sealed")]
        first = [f"{reads(alone, 'owner')} of {len(alone)}", damaged(alone), mean(alone)] if alone else ["–"] * 3
        second = [f"{reads(both, 'owner')} of {len(both)}", str(reads(both, "thief")), damaged(both), mean(both)]
        print(f"| {' | '.join([attack, *first, *second, *worst])} |")
    print()


def main():
    rows = by_density(sys.argv[1])
    codes = [line["read"]["codes"] for of in rows.values() for line in of["plain", "none"].values()]
    print(f"Tickets without a code: {sum(codes)} codes read in {len(codes)}.\n")
    costs(rows)
    for density, of in sorted(rows.items()):
        print(f"Tickets of {100 * density:g} %:\n")
        attacks(of)
    if len(sys.argv) > 2:
        plot(rows, sys.argv[2])


def plot(rows, path):
    shares = [0, 5, 10, 20, 30, 50]
    curves = {}
    for density, of in sorted(rows.items()):
        for way in ("magnitude", "random"):
            lines = [of["code", f"{way} {share} %" if share else "none"].values() for share in shares]
            read_by_share = [100 * statistics.mean(line["read"]["owner"] for line in at) for at in lines]
            curves[f"keeps {100 * density:g} %, {way}"] = read_by_share
    draw(path, curves, [(s, f"{s} %") for s in shares], "pruned", "codes read, %", bounds=(0, 101))


if __name__ == "__main__":
    main()
