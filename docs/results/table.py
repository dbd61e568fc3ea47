#!/usr/bin/env python3
"""Turns the JSON lines of the example `strength` into the tables of docs/results.md. Standard library only.

    make measure CIFAR=FOLDER
    python3 docs/results/table.py docs/results/strength-digits.jsonl

Strong: one row for each subject and attack, over the seeds: test accuracy (mean ± standard deviation of the sample),
turnover (mean share of the kept positions that the attack moved elsewhere), and log2 p of mask and triggers, public and
sealed, before charges: always the *worst* of the seeds. Harmless: accuracy of each subject, before any attack, less
that of `unmarked` with the same seed, in points: mean, standard deviation of the sample, standard error of the mean.

A line that repeats seed, subject and attack of an earlier one is an error: which of them counts would be a choice.
"""

import statistics
import sys
from pathlib import Path

from lines import mean_and_spread, minus, points, read, standard_error

UNMARKED = "unmarked"
# In the place of the attack: the mark of this subject would have missed its target.
REFUSED = "refused"


def worst(lines, kind, level):
    """log2 p that every seed reaches."""
    if not all(kind in line for line in lines):
        return "–"
    return minus(f"{max(line[kind][level]['log2_p'] for line in lines):.1f}")


def print_table(head, rows):
    print(f"| {' | '.join(head)} |")
    print(f"| {' | '.join('---' for _ in head)} |")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print()


def strong(rows):
    for (subject, attack), seeds in rows.items():
        lines = list(seeds.values())
        if attack == REFUSED:
            yield [subject, "refused before anything was written", str(len(lines)), *["–"] * 6]
            continue
        yield [
            subject,
            attack,
            str(len(lines)),
            mean_and_spread([points(line) for line in lines], 1),
            f"{100 * statistics.mean(line['turnover'] for line in lines):.0f} %",
            worst(lines, "mask", "public"),
            worst(lines, "mask", "sealed"),
            worst(lines, "triggers", "public"),
            worst(lines, "triggers", "sealed"),
        ]


def harmless(rows):
    plain = rows.get((UNMARKED, "none"), {})
    for (subject, attack), seeds in rows.items():
        paired = sorted(set(seeds) & set(plain))
        if subject == UNMARKED or attack != "none" or not paired:
            continue
        differences = [points(seeds[seed]) - points(plain[seed]) for seed in paired]
        yield [
            subject,
            f"{100 * statistics.mean(seeds[seed]['moved'] for seed in paired):.1f} %",
            str(len(paired)),
            mean_and_spread(differences, 2),
            standard_error(differences),
        ]


def print_file(path):
    rows = read(path, "subject", "attack")
    lines = [line for seeds in rows.values() for line in seeds.values()]
    first = lines[0]
    seeds = {line["seed"] for line in lines}
    print(f"### {first['data']}: {first['images']} training images of {first['side']}×{first['side']}, ", end="")
    print(f"{first['of']} test images, {len(seeds)} seeds\n")
    accuracy, worst_of = "accuracy, %", "log2 p, worst seed: "
    head = ["subject", "attack", "seeds", accuracy, "turnover", f"{worst_of}mask public"]
    print_table([*head, "mask sealed", "triggers public", "triggers sealed"], strong(rows))
    print_table(["subject", "moved", "seeds", f"accuracy − {UNMARKED}, points", "standard error"], harmless(rows))


def main():
    beside = [path for kind in ("harmless", "strength") for path in Path(__file__).parent.glob(f"{kind}-*.jsonl")]
    paths = sys.argv[1:] or sorted(map(str, beside))
    if not paths:
        raise SystemExit("no harmless-*.jsonl or strength-*.jsonl beside this file, and none named")
    for path in paths:
        print_file(path)


if __name__ == "__main__":
    main()
