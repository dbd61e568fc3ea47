#!/usr/bin/env python3
"""One round of iterative magnitude pruning of a ResNet-20 on CIFAR-10's images as JPEG files: `counterfoil` against a
PyTorch loop with a DataLoader.

    make bench-imp CIFAR=cifar10

Both sides, each as a process of its own, in turns: list and load images, train (batch 128, random crop of the padded
image and flip, SGD with momentum and decay, masks held), prune the smallest fifth of what is kept. PyTorch reads
its files as torchvision's ImageFolder does, in two workers that live through the epochs. Starting a process and
importing PyTorch is not counted. Peak memory is that of the processes of a side together (proportional set size, ten
times a second). Prints medians, the spread and the ratio of PyTorch's to ours (above 1: we are faster, or smaller),
writes bench-out/imp.json.
"""

import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

PAIRS = 5
IMAGES, EPOCHS = 1920, 2
SPARSITIES = (0.0, 0.8, 0.95)
PRUNED = 0.2


def peer(folder, images, epochs, sparsity):
    """PyTorch's side; prints seconds and kept weights."""
    import numpy
    import torch
    from PIL import Image
    from torch.nn import functional as F
    from torch.utils.data import DataLoader, Dataset

    from common import BATCH, LAYOUTS, hold, network, random_masks, use_all_threads

    class ImageFolder(Dataset):
        """As torchvision's, with the usual transforms; a seeded subset."""

        def __init__(self, root, count):
            classes = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
            files = [(file, label) for label, name in enumerate(classes) for file in sorted((root / name).iterdir())]
            self.files = random.Random(0).sample(files, count)
            self.mean = torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1)
            self.std = torch.tensor([0.2470, 0.2435, 0.2616]).view(3, 1, 1)

        def __len__(self):
            return len(self.files)

        def __getitem__(self, index):
            file, label = self.files[index]
            with Image.open(file) as image:
                pixels = torch.from_numpy(numpy.array(image.convert("RGB"))).permute(2, 0, 1)
            padded = F.pad(pixels, (4, 4, 4, 4))
            top, left = random.randrange(9), random.randrange(9)
            pixels = padded[:, top : top + 32, left : left + 32]
            if random.random() < 0.5:
                pixels = pixels.flip(2)
            return (pixels / 255 - self.mean) / self.std, label

    use_all_threads()
    torch.manual_seed(1)
    start = time.perf_counter()
    data = ImageFolder(Path(folder) / "train", images)
    loader = DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=2, persistent_workers=True)
    layout = LAYOUTS["channels last"]
    model = network("resnet20").to(memory_format=layout).train()
    # At sparsity 0 nothing is masked yet, but masks are there to be pruned.
    prunable = random_masks(model, 1 - sparsity) or [(w, torch.ones_like(w)) for w, _ in random_masks(model, 0.5)]
    masks = prunable if sparsity > 0 else []
    hold(masks)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    for _ in range(epochs):
        for x, y in loader:
            loss = F.cross_entropy(model(x.contiguous(memory_format=layout)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            hold(masks)
            loss.item()
    with torch.no_grad():
        magnitudes = torch.cat([w.abs()[mask > 0] for w, mask in prunable])
        threshold = magnitudes.kthvalue(max(1, int(len(magnitudes) * PRUNED))).values
        kept = sum(int(((w.abs() > threshold) & (mask > 0)).sum()) for w, mask in prunable)
    print(time.perf_counter() - start, kept, flush=True)


def descendants(pid):
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from descendants(int(child))


def proportional_set_size(pid):
    """MiB of a process and those it started."""
    total = 0
    for process in descendants(pid):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # It has just ended.
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def measured(command):
    """Seconds that the command says, and its peak memory."""
    process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, proportional_set_size(process.pid))
        except OSError:
            pass
        time.sleep(0.1)
    if process.returncode != 0:
        raise SystemExit(f"{command[0]} ended with exit code {process.returncode}")
    return float(process.stdout.read().split()[0]), peak


def main():
    from common import Report

    program, folder = sys.argv[1:]
    os.environ["RAYON_NUM_THREADS"] = str(len(os.sched_getaffinity(0)))
    report = Report("imp")
    for sparsity in SPARSITIES:
        settings = [folder, IMAGES, EPOCHS, sparsity]
        ours, theirs = [program, *settings], [sys.executable, __file__, "peer", *settings]
        measured(ours)
        pairs = [(measured(ours), measured(theirs)) for _ in range(PAIRS)]
        times = [(own[0], peer[0]) for own, peer in pairs]
        report.add(f"IMP round, sparsity {sparsity:g}", times, IMAGES * EPOCHS, "images/s", "DataLoader, 2 workers")
        own, peak = (statistics.median(pair[side][1] for pair in pairs) for side in (0, 1))
        report.add_amounts(f"IMP round, sparsity {sparsity:g}, peak memory", own, peak, "MiB")
    report.write()


if __name__ == "__main__":
    if sys.argv[1] == "peer":
        peer(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
    else:
        main()
