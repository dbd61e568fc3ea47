#!/usr/bin/env python3
"""Training and inference of ResNet-20 on CIFAR-sized random images: `counterfoil` against PyTorch on the CPU.

    make bench-train

Both sides take the same steps (batch 128: forward, backward, SGD with momentum and decay) in turns, on the same number
of threads, at densities 1, 0.05 and 0.01; PyTorch keeps masked dense weights, channels last where that is faster. Our
side also normalises its bytes and shuffles; PyTorch gets tensors that are ready. Prints medians and the ratio of
PyTorch's time to ours (above 1: we are faster), writes bench-out/train.json.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

BATCH = 128
PAIRS = 7
STEPS = 3


class Block(nn.Module):
    def __init__(self, inp, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inp, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if x.shape != y.shape:
            missing = (y.shape[1] - x.shape[1]) // 2
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, missing, missing))
        return F.relu(x + y)


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        widths = [16] * 4 + [32] * 3 + [64] * 3
        self.blocks = nn.Sequential(*(Block(a, b, 1 if a == b else 2) for a, b in zip(widths, widths[1:])))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.blocks(F.relu(self.bn1(self.conv1(x))))
        return self.linear(x.mean((2, 3)))


class Peer:
    """Masked dense training: pruned weights are set back to 0 after each step."""

    def __init__(self, density, layout):
        torch.manual_seed(1)
        self.layout = layout
        self.model = ResNet20().to(memory_format=layout)
        convolutions = [m.weight for name, m in self.model.named_modules() if isinstance(m, nn.Conv2d) and "blocks" in name]
        self.masks = [(w, (torch.rand_like(w) < density).float()) for w in convolutions] if density < 1 else []
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)
        self.hold()

    def hold(self):
        with torch.no_grad():
            for weight, mask in self.masks:
                weight.mul_(mask)

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
            self.hold()
            loss.item()
        return time.perf_counter() - start

    def infer(self, steps):
        images = torch.randn(steps, BATCH, 3, 32, 32)
        self.model.eval()
        start = time.perf_counter()
        with torch.no_grad():
            for x in images:
                self.model(x.contiguous(memory_format=self.layout)).argmax(1)
        return time.perf_counter() - start


class Ours:
    def __init__(self, program, density):
        self.process = subprocess.Popen(
            [program, str(density)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def run(self, what, steps):
        self.process.stdin.write(f"{what} {steps}\n")
        return float(self.process.stdout.readline())


def machine():
    names = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {len(os.sched_getaffinity(0))} threads, torch {torch.__version__}"


def main():
    program = sys.argv[1]
    # Both sides get the threads that this process may use.
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    rows = []
    print(machine())
    for density in (1.0, 0.05, 0.01):
        ours = Ours(program, density)
        layouts = {"channels last": torch.channels_last, "channels first": torch.contiguous_format}
        peers = {name: Peer(density, layout) for name, layout in layouts.items()}
        for what in ("train", "infer"):
            ours.run(what, 1)
            warm = {name: (getattr(peer, what)(1), getattr(peer, what)(2))[1] for name, peer in peers.items()}
            layout = min(warm, key=warm.get)
            pairs = []
            for _ in range(PAIRS):
                pairs.append((ours.run(what, STEPS), getattr(peers[layout], what)(STEPS)))
            speed = [sorted(BATCH * STEPS / pair[side] for pair in pairs) for side in (0, 1)]
            ratio = statistics.median(peer / own for own, peer in pairs)
            name = f"{what}, density {density:g}"
            medians = [statistics.median(s) for s in speed]
            print(
                f"{name:22} ours {medians[0]:6.0f} images/s ({speed[0][0]:.0f} to {speed[0][-1]:.0f}), "
                f"torch {medians[1]:6.0f} ({speed[1][0]:.0f} to {speed[1][-1]:.0f}, {layout}), ratio {ratio:.2f}",
                flush=True,
            )
            rows.append({"name": name, "ours": medians[0], "peer": medians[1], "unit": "images/s", "ratio": ratio})
    out = Path("bench-out")
    out.mkdir(exist_ok=True)
    (out / "train.json").write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
