#!/usr/bin/env python3
"""Stamping a ticket of ResNet-50's size (25 million weights, 10 % kept) against reading it and writing its result.

    make bench-stamp

The peer is the plain read of the ticket's file and the plain write of a file as large as the stamped ticket, in turns with
stamping, seven times. Prints medians and the ratio of the peer's time to ours (the aim is 0.2: at most five times);
writes bench-out/stamp.json. The counterfoil is not encrypted: making a key from a passphrase takes a second by design.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import machine
from verify import DATA, file_for, run

PAIRS = 7


def copy(source, target, size):
    """Reads all of the source, writes `size` bytes to the disk."""
    start = time.perf_counter()
    data = source.read_bytes()
    with open(target, "wb") as file:
        file.write(data[:size])
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - start


def main():
    program = sys.argv[1]
    DATA.mkdir(parents=True, exist_ok=True)
    ticket = file_for("ticket", 0.1)
    key, stamped, plain = DATA / "owner.key", DATA / "stamped.safetensors", DATA / "plain"
    if not key.exists():
        subprocess.run([program, "keygen", key.with_suffix("")], check=True, stdout=subprocess.DEVNULL)
    stamp = [program, "stamp", ticket, "--key", key, "-o", stamped, "--unencrypted", "--force"]
    run(stamp, 0)
    size = stamped.stat().st_size
    pairs = []
    for _ in range(PAIRS):
        theirs = copy(ticket, plain, size)
        ours, memory = run(stamp, 0)
        pairs.append((ours, theirs, memory))
    ours, theirs, memory = (sorted(column) for column in zip(*pairs))
    ratio = statistics.median(theirs / ours for ours, theirs, _ in pairs)
    name = f"stamp, ResNet-50 size, {ticket.stat().st_size / 1e6:.0f} MB in, {size / 1e6:.0f} MB out"
    print(machine())
    print(
        f"{name}: ours {statistics.median(ours):.2f} s ({ours[0]:.2f} to {ours[-1]:.2f}, {memory[-1]:.0f} MiB), "
        f"read and write {statistics.median(theirs):.2f} s ({theirs[0]:.2f} to {theirs[-1]:.2f}), ratio {ratio:.2f}"
    )
    rows = [{"name": name, "ours": statistics.median(ours), "peer": statistics.median(theirs), "unit": "s", "ratio": ratio}]
    out = Path("bench-out")
    out.mkdir(exist_ok=True)
    (out / "stamp.json").write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
