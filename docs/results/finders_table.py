#!/usr/bin/env python3
"""Turns the JSON lines of the example `finders` into the table of docs/results/paper.md. Standard library only.

    python3 docs/results/finders_table.py docs/results/finders-digits.jsonl

One row for each finder and way of stamping: accuracy of the ticket, of masks with the same layer sparsities at random, and
of the stamped ticket less the plain one (means over seeds, standard error of the last); share of the kept positions that was
moved; log2 p of the two halves of the mark as stamped, after fine-tuning all layers, after pruning half and fine-tuning and,
where the ticket was thinned, after filling what was dropped by training on at two rates, or with noise: always of the worse
half on the worst seed.
"""

import statistics
import sys

from lines import minus, points, read, standard_error


def main():
    rows = read(sys.argv[1], "finder", "subject", "attack")
    mean = lambda of: f"{statistics.mean(points(line) for line in of.values()):.1f}" if of else "–"
    print("| finder | ticket, % | same layers at random | stamped by | seeds | moved | less than the ticket, points | as stamped "
          "| fine-tuned | half pruned + fine-tuned | filled + fine-tuned | filled + trained at 0.1 | filled with noise |")
    print("| --- |" + " --- |" * 12)
    for finder in dict.fromkeys(finder for finder, _, _ in rows):
        plain = rows[finder, "plain", "none"]
        for subject in ("swaps", "keyed"):
            stamped, refused = rows[finder, subject, "none"], rows[finder, subject, "refused"]
            start = f"| {finder} | {mean(plain)} | {mean(rows[finder, 'shuffled', 'none'])} | {subject} "
            if not stamped:
                print(start + f"| 0 of {len(refused)} | refused | – | – | – | – | – | – | – |")
                continue
            seeds = len(stamped)
            of = f"{seeds}" if not refused else f"{seeds} of {seeds + len(refused)}"
            moved = f"{100 * statistics.mean(l['moved'] / plain[seed]['kept'] for seed, l in stamped.items()):.1f} %"
            gaps = [points(line) - points(plain[seed]) for seed, line in stamped.items()]
            error = f" ± {standard_error(gaps)}" if len(gaps) > 1 else ""
            bits = []
            for attack in ("none", "ft-all", "prune-mag 50 % + ft", "filled + ft", "filled + ft at 0.1", "filled with noise"):
                worst = [l["mask"][half]["log2_p"] for l in rows[finder, subject, attack].values() for half in l["mask"]]
                bits.append(minus(f"{max(worst):.0f}") if worst else "–")
            print(start + f"| {of} | {moved} | {minus(f'{statistics.mean(gaps):.2f}')}{error} | {' | '.join(bits)} |")


if __name__ == "__main__":
    main()
