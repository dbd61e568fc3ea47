#!/usr/bin/env python3
"""Writes a safetensors file of about SIZE bytes: carriers of 512 × 512 × 3 × 3 in f32, 5 % of their weights kept.

    python3 tests/bench/large.py 1e8 m100.safetensors

Standard library only; same bytes every time.
"""

import json
import random
import struct
import sys

POSITIONS = 512 * 512 * 9


def main():
    size, path = int(float(sys.argv[1])), sys.argv[2]
    carriers = max(1, size // (4 * POSITIONS))
    header = {
        f"layer{i}.weight": {
            "dtype": "F32",
            "shape": [512, 512, 3, 3],
            "data_offsets": [4 * POSITIONS * i, 4 * POSITIONS * (i + 1)],
        }
        for i in range(carriers)
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    draw = random.Random(0)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _ in range(carriers):
            values = bytearray(4 * POSITIONS)
            for position in draw.sample(range(POSITIONS), POSITIONS // 20):
                struct.pack_into("<f", values, 4 * position, draw.gauss(0.0, 1.0))
            file.write(values)


if __name__ == "__main__":
    main()
