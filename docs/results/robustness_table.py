#!/usr/bin/env python3
"""Tables of docs/results/robustness.md from a suite's lines: python3 docs/results/robustness_table.py FILE.

FILE is results.jsonl of a suite's folder, or docs/results/robustness.jsonl, which is the same without single tests
(`--slim FILE` makes it).
"""
import json
import statistics
import sys

TOLERATED = 5.0
THRESHOLD = -64.0
FALLEN = {"no-match": "**no**", "inconclusive": "*?*"}
OWN = ("panels alone", "triggers alone")


def points(line):
    a = line["accuracy"]
    return None if a["lost"] is None else 100.0 * (a["lost"] - a["gained"]) / a["images"]


def best(values):
    values = [v for v in values if v is not None]
    return min(values) if values else None


def mask(line):
    return best([line["log2_p"]["mask_public"], line["log2_p"]["mask_sealed"]])


def triggers(line):
    return best([line["log2_p"]["triggers_public"], line["log2_p"]["triggers_sealed"]])


def number(value, digits=0):
    return f"{value:.{digits}f}".replace("-", "−") if value is not None else "–"


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def load(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def ordered(lines, key):
    return list(dict.fromkeys(key(line) for line in lines))


def verdicts(lines, subjects):
    """Attack and strength against subject: median log2 p of the best evidence, median points lost, verdicts that fell."""
    print("| attack | strength | " + " | ".join(subjects) + " |")
    print("| --- " * (len(subjects) + 2) + "|")
    for label, strength in ordered(lines, lambda l: (l["label"], l["strength"])):
        cells = []
        for subject in subjects:
            mine = [l for l in lines if (l["label"], l["strength"], l["subject"]) == (label, strength, subject)]
            if not mine:
                cells.append("")
                continue
            p = median([best([mask(l), triggers(l)]) or 0.0 for l in mine])
            fallen = [l["verdict"] for l in mine if l["verdict"] in FALLEN]
            word = "".join(f"{FALLEN[v]} {fallen.count(v)}/{len(mine)} " for v in FALLEN if v in fallen)
            cells.append(f"{word}{number(p)} ({number(median([points(l) for l in mine]), 1)})")
        print(f"| {label} | {strength} | " + " | ".join(cells) + " |")


def holds(line, mark):
    if mark == "panels alone":
        value = mask(line)
        return None if value is None else value <= THRESHOLD
    if mark == "triggers alone":
        value = triggers(line)
        return None if value is None else value <= THRESHOLD
    found = [other["holds"] for other in line["others"] if other["name"] == mark]
    return found[0] if found else None


def marks(lines, subject):
    """For each mark of a subject, the attacks under which it no longer holds for at most 5 points, and the cheapest price."""
    mine = [l for l in lines if l["subject"] == subject]
    names = [*OWN, *ordered([o for l in mine for o in l["others"]], lambda o: o["name"])]
    labels = ordered(mine, lambda l: l["label"])
    print(f"| attack | verdict | {' | '.join(names)} |")
    print("| --- " * (len(names) + 2) + "|")
    for label in labels:
        cells = []
        for mark in [None, *names]:
            falls = []
            for l in (l for l in mine if l["label"] == label):
                down = l["verdict"] in FALLEN if mark is None else holds(l, mark) is False
                if down:
                    falls.append((points(l) if points(l) is not None else 0.0, l["strength"]))
            known = mark is None or any(holds(l, mark) is not None for l in mine if l["label"] == label)
            cheapest = min(falls, default=None)
            if not known:
                cells.append("")
            elif cheapest is None:
                cells.append("holds")
            else:
                bold = "**" if cheapest[0] <= TOLERATED else ""
                cells.append(f"{bold}{number(cheapest[0], 1)}{bold} {cheapest[1]}".strip())
        print(f"| {label} | " + " | ".join(cells) + " |")


def main(arguments):
    if arguments[:1] == ["--slim"]:
        for line in load(arguments[1]):
            line.pop("tests")
            for name in ("id", "input", "output"):
                line[name] = line[name][:16]
            print(json.dumps(line, separators=(",", ":")))
        return
    lines = load(arguments[0])
    subjects = ordered(lines, lambda l: l["subject"])
    runs = {s: len({(l["subject_seed"]) for l in lines if l["subject"] == s}) for s in subjects}
    print(f"{len(lines)} runs; seeds: " + ", ".join(f"{s} {n}" for s, n in runs.items()) + "\n")
    verdicts(lines, [s for s in subjects if s != "unmarked"])
    for subject in arguments[1:]:
        print(f"\n### {subject}\n")
        marks(lines, subject)
    unmarked = [l for l in lines if l["subject"] == "unmarked"]
    if unmarked:
        p = [best([mask(l), triggers(l)]) for l in unmarked]
        count = {v: sum(l["verdict"] == v for l in unmarked) for v in ("proven", "marked", "inconclusive", "no-match")}
        print(f"\nunmarked: {count}, smallest log2 p after charges {number(min(p), 1)}")


if __name__ == "__main__":
    main(sys.argv[1:])
