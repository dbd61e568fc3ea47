#!/usr/bin/env python3
"""A third party's mark and attack for counterfoil's suite: bits in the signs of weights (docs/suite.md).

Reads one JSON request from standard input, works on the safetensors files that it names, answers with JSON on standard
output. Needs nothing but Python: safetensors is a JSON header and raw numbers.
"""
import json
import math
import random
import struct
import sys

BITS = 128


def load(path):
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(size)), bytearray(file.read())


def save(path, header, data):
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def weights(header):
    """The largest float tensor of rank 4: where it begins, and how many numbers it has."""
    tensors = [t for name, t in header.items() if name != "__metadata__" and len(t["shape"]) == 4 and t["dtype"] == "F32"]
    if not tensors:
        return 0, 0
    begin, end = max((t["data_offsets"] for t in tensors), key=lambda offsets: offsets[1] - offsets[0])
    return begin, (end - begin) // 4


def places(count, seed):
    """The secret: which weights carry bits, and what they say."""
    draw = random.Random(seed)
    return [(draw.randrange(count), draw.choice((-1.0, 1.0))) for _ in range(min(BITS, count))]


def embed(request):
    header, data = load(request["model"])
    begin, count = weights(header)
    for place, sign in places(count, request["seed"]):
        (value,) = struct.unpack_from("<f", data, begin + 4 * place)
        struct.pack_into("<f", data, begin + 4 * place, math.copysign(value, sign))
    save(request["output"], header, data)
    return {}


def read(request):
    header, data = load(request["suspect"])
    begin, count = weights(header)
    if count == 0:
        return {"holds": False, "log2_p": 0.0, "reading": "no tensor to read"}
    bits = [(struct.unpack_from("<f", data, begin + 4 * place)[0], sign) for place, sign in places(count, request["seed"])]
    signs = [(value, sign) for value, sign in bits if value != 0.0]
    right = sum((value > 0) == (sign > 0) for value, sign in signs)
    tail = sum(math.comb(len(signs), hits) for hits in range(right, len(signs) + 1))
    log2_p = math.log2(tail) - len(signs)
    return {"holds": log2_p <= -64, "log2_p": log2_p, "reading": f"{right} of {len(signs)} signs"}


def attack(request):
    """Negates a share of all weights of the largest tensor."""
    header, data = load(request["model"])
    begin, count = weights(header)
    draw = random.Random(request["seed"])
    for place in range(count):
        if draw.random() < float(request["settings"].get("share", "0.1")):
            (value,) = struct.unpack_from("<f", data, begin + 4 * place)
            struct.pack_into("<f", data, begin + 4 * place, -value)
    save(request["output"], header, data)
    return {}


if __name__ == "__main__":
    request = json.load(sys.stdin)
    if request["protocol"] != 1:
        sys.exit(f"protocol {request['protocol']}, expected 1")
    tasks = {"embed": embed, "read": read, "attack": attack}
    print(json.dumps(tasks[request["task"]](request)))
