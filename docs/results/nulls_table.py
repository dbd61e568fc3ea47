#!/usr/bin/env python3
"""Turns the JSON lines of the example `nulls` into the tables of docs/results/false-positives.md. Standard library only.

    python3 docs/results/nulls_table.py docs/results/nulls-digits.jsonl.gz

First the verdicts, by what suspects share with the owners. Then, for independent suspects under a key that nobody else is
tested under, whether p-values before charges are uniform or larger: D+ = sup (F(x) - x) and the bound of Dvoretzky, Kiefer,
Wolfowitz and Massart on its chance, exp(-2 N D+^2) for N independent p-values that are at least uniform. One row an attack;
rows of one suspect depend on each other. Exits with 1 if anything was proven or marked.
"""

import gzip
import json
import math
import sys
from collections import Counter, defaultdict
from pathlib import Path

from lines import minus

EVIDENCE = [("mask", 0, "mask, public"), ("mask", 1, "mask, sealed"), ("triggers", 0, "triggers, public"),
            ("triggers", 1, "triggers, sealed")]


def kind(line):
    return line["suspect"].rsplit(" ", 1)[0]


def verdicts(lines):
    print("| suspects | number | verifications | proven | marked | inconclusive | no match | smallest log2 p |")
    print("| --- |" + " --- |" * 7)
    groups = {name: [line for line in lines if kind(line) == name] for name in dict.fromkeys(map(kind, lines))}
    for name, of in [*groups.items(), ("all", lines)]:
        count = Counter(line["verdict"] for line in of)
        numbers = [count[verdict] for verdict in ("proven", "marked", "inconclusive", "no-match")]
        suspects = len({line["suspect"] for line in of})
        smallest = minus(f"{min(line['log2_p'] for line in of):.1f}")
        print(f"| {name} | {suspects} | {len(of)} | {' | '.join(map(str, numbers))} | {smallest} |")
    print()


def one_sided(log2_ps):
    """D+ of these p-values against the uniform, and the bound on its chance."""
    ps = sorted(2**bits for bits in log2_ps)
    d = max(max((i + 1) / len(ps) - p for i, p in enumerate(ps)), 0)
    return d, math.exp(-2 * len(ps) * d * d)


def calibration(lines):
    own = defaultdict(list)
    for line in lines:
        if line["key"] == "own" and kind(line) == "independent":
            for field, at, name in EVIDENCE:
                if line[field][at] is not None:
                    own[line["attack"], name].append(line[field][at])
    names = [name for *_, name in EVIDENCE]
    print("| attack | N | " + " | ".join(f"{name}: D+, bound" for name in names) + " | smallest log2 p |")
    print("| --- |" + " --- |" * (len(names) + 2))
    least = 1
    for attack in dict.fromkeys(attack for attack, _ in own):
        cells, smallest = [], 0
        for name in names:
            ps = own.get((attack, name), [])
            if not ps:
                cells.append("–")
                continue
            d, bound = one_sided(ps)
            least, smallest = min(least, bound), min(smallest, *ps)
            cells.append(f"{d:.3f}, {bound:.2g}")
        n = len(own[attack, names[0]])
        print(f"| {attack} | {n} | {' | '.join(cells)} | {minus(f'{smallest:.1f}')} |")
    rows = len(own)
    print(f"\nSmallest of {rows} bounds: {least:.2g}; times {rows}: {min(1, rows * least):.2g}.\n")
    return own


def tail(own):
    ps = [p for (attack, _), of in own.items() if attack == "none" for p in of]
    print(f"Of {len(ps)} p-values of independent suspects that were not attacked:\n")
    print("| p at most | found | expected at most |\n| --- | --- | --- |")
    for k in (1, 2, 3, 4, 5, 6, 8):
        print(f"| 2^−{k} | {sum(p <= -k for p in ps)} | {len(ps) / 2**k:.1f} |")
    print()


def main():
    path = Path(sys.argv[1])
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    first, *lines = map(json.loads, text.splitlines())
    skipped = {(line["attack"], line["skipped"]) for line in lines if "skipped" in line}
    lines = [line for line in lines if "verdict" in line]
    attacks = dict.fromkeys(line["attack"] for line in lines if line["attack"] != "none")
    print(f"Attacks: {', '.join(attacks)}; seed {first['seed']}.\n")
    for attack, reason in sorted(skipped):
        print(f"Left out: {attack}, for {reason}.\n")
    verdicts(lines)
    own = calibration(lines)
    tail(own)
    suspects = len({line["suspect"] for line in lines})
    false = sum(line["verdict"] in ("proven", "marked") for line in lines)
    print(f"False verdicts: {false} of {len(lines)} verifications. Rule of three, suspects as the independent trials: "
          f"at most 3/{suspects} = {3 / suspects:.4f} with 95 % confidence, if none." )
    return 1 if false else 0


if __name__ == "__main__":
    sys.exit(main())
