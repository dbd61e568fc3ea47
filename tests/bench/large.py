#!/usr/bin/env python3
"""Writes large safetensors files to measure with; the same bytes every time, standard library only.

    python3 tests/bench/large.py sparse 1e8 m100.safetensors    a model of about so many bytes: carriers of 512 × 512 × 3 × 3
                                                                in f32, 5 % of their weights kept
    python3 tests/bench/large.py language 1e9 lm.safetensors    a dense model of about so many parameters in f16, shaped as
                                                                a language model: embedding, layers, head
    python3 tests/bench/large.py ticket 0.1 r50.safetensors     a ticket of ResNet-50's size (25 million weights) that keeps
                                                                this share: weights, masks and scores
"""

import json
import math
import random
import struct
import sys

WIDTHS = {"F32": 4, "F16": 2, "U8": 1}

#: High bytes of f32 and f16: any sign, magnitudes near 1.
NEAR_ONE = {"F32": bytes(b & 0x80 | 0x3F for b in range(256)), "F16": bytes(b & 0x83 | 0x38 for b in range(256))}


def floats(draw, dtype, count):
    """Random bytes, made into finite numbers."""
    width = WIDTHS[dtype]
    data = bytearray(draw.randbytes(count * width))
    data[width - 1 :: width] = data[width - 1 :: width].translate(NEAR_ONE[dtype])
    return data


def sparse(draw, count, kept):
    data = bytearray(4 * count)
    for position in draw.sample(range(count), int(count * kept)):
        struct.pack_into("<f", data, 4 * position, draw.gauss(0.0, 1.0))
    return data


def write(path, tensors):
    """`tensors`: name, type, shape and a function that gives the bytes, widest types first as the format asks for."""
    header, end = {}, 0
    for name, dtype, shape, _ in tensors:
        start, end = end, end + WIDTHS[dtype] * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, _, content in tensors:
            file.write(content())


def sparse_model(draw, size):
    shape = [512, 512, 3, 3]
    count = math.prod(shape)
    carriers = max(1, int(size) // (4 * count))
    return [(f"layer{i}.weight", "F32", shape, lambda: sparse(draw, count, 0.05)) for i in range(carriers)]


def language_model(draw, parameters, width=4096, inner=11008, words=32000):
    def tensor(name, *shape):
        return (name, "F16", list(shape), lambda: floats(draw, "F16", math.prod(shape)))

    layer = 4 * width * width + 3 * width * inner
    layers = max(1, round((parameters - 2 * words * width) / layer))
    tensors = [tensor("embed.weight", words, width)]
    for i in range(layers):
        tensors += [tensor(f"layers.{i}.{part}.weight", width, width) for part in ("q", "k", "v", "o")]
        tensors += [tensor(f"layers.{i}.{part}.weight", inner, width) for part in ("gate", "up")]
        tensors.append(tensor(f"layers.{i}.down.weight", width, inner))
    return [*tensors, tensor("head.weight", words, width)]


def resnet50_convolutions():
    yield "conv1", (64, 3, 7, 7)
    inp = 64
    for stage, (blocks, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)], 1):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            yield f"{name}.conv1", (width, inp, 1, 1)
            yield f"{name}.conv2", (width, width, 3, 3)
            yield f"{name}.conv3", (4 * width, width, 1, 1)
            if block == 0:
                yield f"{name}.downsample.0", (4 * width, inp, 1, 1)
            inp = 4 * width
    yield "fc", (1000, 2048)


def ticket(draw, density):
    keeps = bytes(int(b < 256 * density) for b in range(256))
    layers = [(name, list(shape), math.prod(shape)) for name, shape in resnet50_convolutions()]
    pruned = [layer for layer in layers if layer[0] not in ("conv1", "fc")]

    def content(dtype, count):
        return lambda: floats(draw, dtype, count)

    def mask(count):
        return lambda: draw.randbytes(count).translate(keeps)

    weights = [(f"{name}.weight", "F32", shape, content("F32", count)) for name, shape, count in layers]
    scores = [(f"{name}.weight_score", "F32", shape, content("F32", count)) for name, shape, count in pruned]
    return weights + scores + [(f"{name}.weight_mask", "U8", shape, mask(count)) for name, shape, count in pruned]


KINDS = {"sparse": sparse_model, "language": language_model, "ticket": ticket}


def make(kind, size, path):
    write(path, KINDS[kind](random.Random(0), float(size)))


if __name__ == "__main__":
    make(*sys.argv[1:])
