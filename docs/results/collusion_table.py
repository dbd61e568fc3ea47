#!/usr/bin/env python3
"""Table of docs/results/collusion.md from a suite's lines: python3 docs/results/collusion_table.py FILE.

FILE is results.jsonl of a run of suites/collusion.toml, or docs/results/collusion.jsonl, which is the same without single
tests (`robustness_table.py --slim FILE` makes it).
"""
import sys

from robustness_table import load, number, ordered, points


def spread(values):
    """Smallest and largest of the seeds, or the one that all have."""
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"


def main():
    lines = load(sys.argv[1])
    print("| who | merged by | licensee 1, log2 p | proven | his chips +1 | owner, log2 p | owner proven | points lost |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for label, strength in ordered(lines, lambda line: (line["label"], line["strength"])):
        mine = [line for line in lines if (line["label"], line["strength"]) == (label, strength)]
        marks = [mark for line in mine for mark in line["others"] if mark["name"] == "licensee"]
        counts = [[int(word) for word in mark["reading"].split() if word.isdigit()] for mark in marks]
        shares = [100 * hits / n for hits, n in counts]
        print(
            f"| {label} | {strength or '–'} | {spread([mark['log2_p'] for mark in marks])} "
            f"| {sum(mark['holds'] for mark in marks)} of {len(marks)} | {spread(shares)} % "
            f"| {spread([line['log2_p']['mask_sealed'] for line in mine])} "
            f"| {sum(line['verdict'] == 'proven' for line in mine)} of {len(mine)} "
            f"| {spread([points(line) for line in mine])} |"
        )


main()
