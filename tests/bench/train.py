#!/usr/bin/env python3
"""Training of ResNets on CIFAR-sized random images: `counterfoil` against PyTorch on the CPU.

    make bench-train

Both sides take the same steps (batch 128: forward, backward, SGD with momentum and decay) in turns, on the same number
of threads; PyTorch keeps masked dense weights, channels last where that is faster. Our side also normalises its bytes
and shuffles; PyTorch gets tensors that are ready. Prints medians, the spread and the ratio of PyTorch's time to ours
(above 1: we are faster), writes bench-out/train.json.
"""

import sys
import time

import torch
from torch.nn import functional as F

from common import BATCH, LAYOUTS, Program, Report, hold, network, random_masks, use_all_threads

# Network, density, pairs, steps of a pair's side.
ROWS = [("resnet20", 1.0, 7, 3), ("resnet20", 0.05, 7, 3), ("resnet20", 0.01, 7, 3), ("resnet18", 0.05, 5, 1)]


class Peer:
    """Masked dense training: pruned weights are set back to 0 after each step."""

    def __init__(self, name, density, layout):
        torch.manual_seed(1)
        self.layout = layout
        self.model = network(name).to(memory_format=layout)
        self.masks = random_masks(self.model, density)
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)
        hold(self.masks)

    def train(self, steps):
        images = torch.randn(steps, BATCH, 3, 32, 32)
        labels = torch.randint(0, 10, (steps, BATCH))
        self.model.train()
        start = time.perf_counter()
        for x, y in zip(images, labels):
            loss = F.cross_entropy(self.model(x.contiguous(memory_format=self.layout)), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            hold(self.masks)
            loss.item()
        return time.perf_counter() - start


def main():
    program = sys.argv[1]
    use_all_threads()
    report = Report("train")
    for name, density, count, steps in ROWS:
        ours = Program(program, name, density)
        ours.run("train", 1)
        peers = {layout: Peer(name, density, LAYOUTS[layout]) for layout in LAYOUTS}
        warm = {layout: (peer.train(1), peer.train(1))[1] for layout, peer in peers.items()}
        layout = min(warm, key=warm.get)
        pairs = [(ours.run("train", steps), peers[layout].train(steps)) for _ in range(count)]
        ours.close()
        report.add(f"train {name}, density {density:g}", pairs, BATCH * steps, "images/s", layout)
    report.write()


if __name__ == "__main__":
    main()
