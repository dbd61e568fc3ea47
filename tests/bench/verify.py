#!/usr/bin/env python3
"""Verifying large files by key alone against `sha256sum` of the same file; the memory that verifying takes.

    make bench-verify

Files are written once, to target/bench-data (4 GB). Both sides take turns, at least five times each; "cold" drops the
file from the system's cache before each, "cached" reads it once before. Prints medians and the ratio of sha256sum's time to
ours (the aim is 0.5: at most twice its time); writes bench-out/verify.json. The suspects do not carry the key's mark, so
that every reading is made.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import large
from machine import machine

PAIRS = 5
DATA = Path("target/bench-data")

#: Name, kind of file, its size.
SUSPECTS = [("100 MB, f32, 5 % kept", "sparse", 1e8), ("1 GB, f32, 5 % kept", "sparse", 1e9)]
LARGE = ("10^9 parameters, f16, dense", "language", 1e9)


def file_for(kind, size):
    path = DATA / f"{kind}-{size:g}.safetensors"
    if not path.exists():
        part = path.with_suffix(".part")
        large.make(kind, size, part)
        part.rename(path)
    return path


def prepare(path, cached):
    with open(path, "rb") as file:
        if cached:
            while file.read(1 << 24):
                pass
        else:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run(command, expected):
    """Seconds, and the most memory in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) != expected:
        sys.exit(f"{' '.join(map(str, command))}: exit code {os.waitstatus_to_exitcode(status)}, expected {expected}")
    return seconds, usage.ru_maxrss / 1024


def main():
    program = sys.argv[1]
    DATA.mkdir(parents=True, exist_ok=True)
    key = DATA / "owner.pub"
    if not key.exists():
        subprocess.run([program, "keygen", key.with_suffix("")], check=True, stdout=subprocess.DEVNULL)
    verify = lambda path: [program, "verify", path, "--key", key]
    print(machine())
    rows = []
    for name, kind, size in SUSPECTS:
        path = file_for(kind, size)
        for cached in (False, True):
            pairs = []
            for _ in range(PAIRS):
                prepare(path, cached)
                theirs, _ = run(["sha256sum", path], 0)
                prepare(path, cached)
                ours, memory = run(verify(path), 1)
                pairs.append((ours, theirs, memory))
            row = f"verify, {name}, {'cached' if cached else 'cold'}"
            ours, theirs, memory = (sorted(column) for column in zip(*pairs))
            ratio = statistics.median(theirs / ours for ours, theirs, _ in pairs)
            print(
                f"{row}: ours {statistics.median(ours):.2f} s ({ours[0]:.2f} to {ours[-1]:.2f}, {memory[-1]:.0f} MiB), "
                f"sha256sum {statistics.median(theirs):.2f} s ({theirs[0]:.2f} to {theirs[-1]:.2f}), ratio {ratio:.2f}",
                flush=True,
            )
            medians = {"ours": statistics.median(ours), "peer": statistics.median(theirs)}
            rows.append({"name": row, **medians, "unit": "s", "ratio": ratio})
    name, kind, size = LARGE
    seconds, memory = run(verify(file_for(kind, size)), 1)
    limit = 256
    print(f"verify, {name}: {memory:.0f} MiB at most (aim: {limit}), {seconds:.1f} s")
    rows.append({"name": f"memory, {name}", "ours": memory, "peer": limit, "unit": "MiB", "ratio": limit / memory})
    out = Path("bench-out")
    out.mkdir(exist_ok=True)
    (out / "verify.json").write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
