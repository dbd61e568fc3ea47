#!/usr/bin/env python3
"""Inference of ResNet-20 on CIFAR-sized random images: `counterfoil` against PyTorch and tract on the CPU.

    make bench-infer

Batches of 128 images and images one after the other, both sides in turns on the same number of threads, at densities 1,
0.05 and 0.01. PyTorch is in `eval` under `no_grad`, channels last where that is faster, masked dense weights. tract (for
one image) gets the network as PyTorch exports it to ONNX, and optimises it. Our side also normalises its bytes. Prints
medians, the spread and the ratio of the peer's time to ours (above 1: we are faster), writes bench-out/infer.json.
"""

import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch

from common import BATCH, LAYOUTS, Program, Report, hold, network, random_masks, use_all_threads

PAIRS = 7
# Batches or images of a pair's side.
COUNTS = {"infer": 3, "one": 200}
SIZES = {"infer": BATCH, "one": 1}


class Peer:
    def __init__(self, density, layout):
        torch.manual_seed(1)
        self.layout = layout
        self.model = network("resnet20").to(memory_format=layout).eval()
        hold(random_masks(self.model, density))

    def run(self, what, count):
        images = torch.randn(count, SIZES[what], 3, 32, 32)
        start = time.perf_counter()
        with torch.no_grad():
            for x in images:
                self.model(x.contiguous(memory_format=self.layout)).argmax(1)
        return time.perf_counter() - start

    def export(self, path):
        with warnings.catch_warnings():
            # Of the older exporter about itself, and of shapes that become constants, as they should.
            warnings.simplefilter("ignore")
            torch.onnx.export(self.model, torch.randn(1, 3, 32, 32), str(path), dynamo=False)


def main():
    steps, tract = sys.argv[1:]
    use_all_threads()
    report = Report("infer")
    for density in (1.0, 0.05, 0.01):
        ours = Program(steps, "resnet20", density)
        peers = {layout: Peer(density, LAYOUTS[layout]) for layout in LAYOUTS}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            peers["channels first"].export(path)
            tract_peer = Program(tract, path)
            tract_peer.run("one", 1)
        for what, count in COUNTS.items():
            warm = {layout: (peer.run(what, 2), peer.run(what, 2))[1] for layout, peer in peers.items()}
            layout = min(warm, key=warm.get)
            rivals = [("torch", layout, peers[layout])] + ([("tract", "ONNX", tract_peer)] if what == "one" else [])
            for rival, note, peer in rivals:
                ours.run(what, count)
                pairs = [(ours.run(what, count), peer.run(what, count)) for _ in range(PAIRS)]
                name = f"infer, batch {SIZES[what]}, density {density:g}, {rival}"
                report.add(name, pairs, SIZES[what] * count, "images/s", note)
        ours.close()
        tract_peer.close()
    report.write()


if __name__ == "__main__":
    main()
