"""What the benches share: the networks in PyTorch, our program as a process, pairs taken in turns, and the report."""

import json
import os
import statistics
import subprocess
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from machine import machine as bare_machine

BATCH = 128
LAYOUTS = {"channels last": torch.channels_last, "channels first": torch.contiguous_format}


class Block(nn.Module):
    """A basic block; where the shape changes, option A or a projection."""

    def __init__(self, inp, out, stride, projected):
        super().__init__()
        self.conv1 = nn.Conv2d(inp, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = None
        if projected and stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(inp, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.downsample is not None:
            x = self.downsample(x)
        elif x.shape != y.shape:
            missing = (y.shape[1] - x.shape[1]) // 2
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, missing, missing))
        return F.relu(x + y)


class ResNet(nn.Module):
    def __init__(self, width, stages, blocks, projected):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        widths = [width] + [width << stage for stage in range(stages) for _ in range(blocks)]
        pairs = zip(widths, widths[1:])
        self.blocks = nn.Sequential(*(Block(a, b, 1 if a == b else 2, projected) for a, b in pairs))
        self.linear = nn.Linear(widths[-1], 10)

    def forward(self, x):
        x = self.blocks(F.relu(self.bn1(self.conv1(x))))
        return self.linear(x.mean((2, 3)))


def network(name):
    return {"resnet20": lambda: ResNet(16, 3, 3, False), "resnet18": lambda: ResNet(64, 4, 2, True)}[name]()


def random_masks(model, density):
    """(weight, mask) of all convolutions but the first; none for density 1."""
    convolutions = [m.weight for name, m in model.named_modules() if isinstance(m, nn.Conv2d) and "blocks" in name]
    return [(w, (torch.rand_like(w) < density).float()) for w in convolutions] if density < 1 else []


def hold(masks):
    with torch.no_grad():
        for weight, mask in masks:
            weight.mul_(mask)


class Program:
    """A program that answers each line with the seconds that it took."""

    def __init__(self, *command):
        self.process = subprocess.Popen(
            [str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def run(self, what, count):
        self.process.stdin.write(f"{what} {count}\n")
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.process.args[0]} ended with exit code {self.process.wait()}")
        return float(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def use_all_threads():
    """Both sides get the threads that this process may use."""
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    return threads


def machine():
    return f"{bare_machine()}, torch {torch.__version__}"


class Report:
    """Rows of pairs, printed as they come, and written to bench-out/NAME.json."""

    def __init__(self, name):
        self.name, self.rows = name, []
        print(machine(), flush=True)

    def add(self, name, pairs, amount, unit, note):
        """`pairs`: (our seconds, the peer's seconds) for `amount` of `unit` each."""
        speed = [sorted(amount / pair[side] for pair in pairs) for side in (0, 1)]
        medians = [statistics.median(s) for s in speed]
        ratio = statistics.median(peer / own for own, peer in pairs)
        print(
            f"{name:42} ours {medians[0]:7.0f} {unit} ({speed[0][0]:.0f} to {speed[0][-1]:.0f}), "
            f"peer {medians[1]:7.0f} ({speed[1][0]:.0f} to {speed[1][-1]:.0f}, {note}), ratio {ratio:.2f}",
            flush=True,
        )
        self.rows.append({"name": name, "ours": medians[0], "peer": medians[1], "unit": unit, "ratio": ratio})

    def add_amounts(self, name, own, peer, unit):
        """Where less is better."""
        print(f"{name:42} ours {own:7.0f} {unit}, peer {peer:7.0f}, ratio {peer / own:.2f}", flush=True)
        self.rows.append({"name": name, "ours": own, "peer": peer, "unit": unit, "ratio": peer / own})

    def write(self):
        out = Path("bench-out")
        out.mkdir(exist_ok=True)
        text = json.dumps({"machine": machine(), "rows": self.rows}, indent=1) + "\n"
        (out / f"{self.name}.json").write_text(text)
