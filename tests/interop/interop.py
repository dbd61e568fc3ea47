"""Checks counterfoil against numpy, safetensors, torch, zxing-cpp and openssl. Called by run.sh: interop.py BINARY FOLDER

Every check prints one line; the first that fails ends the run with exit code 1.
"""

import base64
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
import zxingcpp
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

BINARY, FOLDER = sys.argv[1], Path(sys.argv[2])
DIGITS = Path(__file__).resolve().parents[2] / "fixtures/digits/digits.csv"


def counterfoil(arguments, code=0):
    """Runs the binary in the folder; gives what it prints."""
    done = subprocess.run([BINARY, *arguments.split()], cwd=FOLDER, capture_output=True, text=True)
    expect(done.returncode == code, f"counterfoil {arguments}\n{done.stdout}{done.stderr}")
    return done.stdout


def openssl(arguments):
    done = subprocess.run(["openssl", *arguments.split()], cwd=FOLDER, capture_output=True)
    expect(done.returncode == 0, f"openssl {arguments}\n{done.stderr.decode()}")
    return done.stdout


def expect(holds, what):
    if not holds:
        sys.exit(f"FAILED: {what}")


def report(what):
    print(f"ok: {what}")


class Block(nn.Module):
    """Two convolutions and an option-A shortcut (He et al. 2015, section 4.2)."""

    def __init__(self, inp, out):
        super().__init__()
        self.conv1 = nn.Conv2d(inp, out, 3, stride=out // inp, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.grows = out > inp

    def forward(self, x):
        shortcut = x
        if self.grows:
            channels = x.shape[1] // 2
            shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, channels, channels))
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + shortcut)


class ResNet20(nn.Module):
    """As in akamaster/pytorch_resnet_cifar10: the same names, and as plain as PyTorch gets."""

    def __init__(self, channels=3, width=16, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        stage = lambda inp, out: nn.Sequential(Block(inp, out), Block(out, out), Block(out, out))
        self.layer1 = stage(width, width)
        self.layer2 = stage(width, 2 * width)
        self.layer3 = stage(2 * width, 4 * width)
        self.linear = nn.Linear(4 * width, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


class Bottleneck(nn.Module):
    """torchvision's: the stride in the 3x3 convolution, a projection where the channels or the size change."""

    def __init__(self, inp, within, stride):
        super().__init__()
        out = 4 * within
        self.conv1 = nn.Conv2d(inp, within, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(within)
        self.conv2 = nn.Conv2d(within, within, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(within)
        self.conv3 = nn.Conv2d(within, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        if inp != out:
            self.downsample = nn.Sequential(nn.Conv2d(inp, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(y)))))
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class ResNet50(nn.Module):
    """torchvision's names; a 3x3 stem and no pooling behind it."""

    def __init__(self, channels=1, width=4, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inp = width
        for stage, blocks in enumerate([3, 4, 6, 3]):
            within, layer = width << stage, []
            for block in range(blocks):
                layer.append(Bottleneck(inp, within, 2 if stage > 0 and block == 0 else 1))
                inp = 4 * within
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layer))
        self.fc = nn.Linear(inp, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class VGG16(nn.Module):
    """torchvision's features of `vgg16_bn`, the mean of each channel, one linear layer."""

    def __init__(self, channels=1, width=4, classes=10):
        super().__init__()
        features, inp = [], channels
        for factor in [1, 1, "M", 2, 2, "M", 4, 4, 4, "M", 8, 8, 8, "M", 8, 8, 8, "M"]:
            if factor == "M":
                features.append(nn.MaxPool2d(2, 2))
                continue
            features += [nn.Conv2d(inp, factor * width, 3, padding=1), nn.BatchNorm2d(factor * width), nn.ReLU()]
            inp = factor * width
        self.features = nn.Sequential(*features)
        self.classifier = nn.Linear(inp, classes)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def torch_tensors(path):
    return {name: torch.from_numpy(array) for name, array in load_file(path).items()}


def make():
    """What the other checks look at: a stamped ticket and a trained model, with everything that belongs to them."""
    counterfoil("keygen owner")
    counterfoil(
        "find --data digits --arch resnet20 --sparsity 0.9 --prune-share 0.7 --epochs 3 --rewind 1 --limit 400 -o ticket.safetensors"
    )
    counterfoil("stamp ticket.safetensors --key owner.key -o stamped.safetensors --unencrypted")
    counterfoil("disclose stamped.counterfoil --panel 1 -o panel1.disclosure")
    counterfoil(
        "train stamped.safetensors --counterfoil stamped.counterfoil --data digits --limit 600 --epochs 4 -o model.bin"
    )


def safetensors_opens_our_files():
    for name in ["ticket.safetensors", "stamped.safetensors", "model.bin"]:
        with safe_open(FOLDER / name, framework="np") as file:
            description = json.loads(file.metadata()["counterfoil"])
            expect(description["version"] == 1 and len(list(file.keys())) > 40, name)
    stamped = load_file(FOLDER / "stamped.safetensors")
    layers = json.loads(counterfoil("inspect stamped.safetensors --json"))["layers"]
    for layer in layers:
        mask = stamped.get(f"{layer['name']}_mask")
        if mask is not None:
            weights = stamped[layer["name"]]
            expect(mask.dtype == np.uint8 and mask.shape == weights.shape, layer["name"])
            expect(mask.sum() == layer["kept"] and not weights[mask == 0].any(), layer["name"])
    report("the Python package safetensors reads tickets and models; masks are as `inspect` says")


def torch_loads_our_model():
    model = ResNet20(channels=1)
    model.load_state_dict(torch_tensors(FOLDER / "model.bin"), strict=True)
    model.eval()
    halves = [json.loads(counterfoil(f"evaluate model.bin --data digits --split {half} --json")) for half in ("train", "test")]
    ours = sum(half["correct"] for half in halves)
    with safe_open(FOLDER / "model.bin", framework="np") as file:
        normalisation = json.loads(file.metadata()["counterfoil"])["normalisation"]
    # As the data set `digits` is defined: values 0..16 as bytes v * 255 / 16, rounded half up.
    rows = np.loadtxt(DIGITS, delimiter=",", dtype=np.int64)
    expect(sum(half["images"] for half in halves) == len(rows), "both halves together are all digits")
    pixels = (rows[:, :64] * 255 + 8) // 16
    images = torch.tensor(pixels / 255.0, dtype=torch.float32).reshape(-1, 1, 8, 8)
    images = (images - normalisation["mean"][0]) / normalisation["std"][0]
    with torch.no_grad():
        answers = model(images).argmax(1).numpy()
    correct = int((answers == rows[:, 64]).sum())
    expect(abs(correct - ours) <= 1, f"torch has {correct} right, we have {ours}")
    report(f"torch loads model.bin with strict=True and has {correct} of {len(rows)} digits right, as we do ({ours})")


def idx(name, array):
    """Writes bytes as MNIST's files have them."""
    head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    (FOLDER / "idx").mkdir(exist_ok=True)
    (FOLDER / "idx" / name).write_bytes(head + array.astype(np.uint8).tobytes())


def larger_networks_are_torch_s():
    """ResNet-50 and VGG-16: ours in torch, torch's in ours, and the same answers. On digits of 32x32 pixels."""
    rows = np.loadtxt(DIGITS, delimiter=",", dtype=np.int64)[:500]
    images = np.repeat(np.repeat(((rows[:, :64] * 255 + 8) // 16).reshape(-1, 8, 8), 4, axis=1), 4, axis=2)
    labels = rows[:, 64]
    for part, of in {"train": slice(0, 300), "t10k": slice(300, 500)}.items():
        idx(f"{part}-images-idx3-ubyte", images[of])
        idx(f"{part}-labels-idx1-ubyte", labels[of])
    for arch, network in {"resnet50": ResNet50, "vgg16": VGG16}.items():
        ticket = f"find --data idx --arch {arch} --width 4 --sparsity 0.5 --prune-share 0.5 --epochs 2 --rewind 1 --batch 50"
        counterfoil(f"{ticket} --rate 0.02 -o {arch}.safetensors")
        counterfoil(f"train {arch}.safetensors --data idx --epochs 4 --batch 50 --rate 0.02 -o {arch}.bin")
        with safe_open(FOLDER / f"{arch}.bin", framework="np") as file:
            normalisation = json.loads(file.metadata()["counterfoil"])["normalisation"]
        mean, std = normalisation["mean"][0], normalisation["std"][0]
        pixels = (torch.tensor(images[300:, None] / 255.0, dtype=torch.float32) - mean) / std
        model = network()
        model.load_state_dict(torch_tensors(FOLDER / f"{arch}.bin"), strict=True)
        model.eval()
        compare_answers(model, f"{arch}.bin", pixels, "")
        # As torch leaves them: biases in front of batch norms that are not 0, statistics of its own.
        torch.manual_seed(0)
        for name, tensor in model.state_dict().items():
            if name.endswith("bias"):
                tensor.copy_(torch.randn_like(tensor) / 4)
        model.train()
        with torch.no_grad():
            [model(pixels) for _ in range(20)]
        model.eval()
        torch.save(model.state_dict(), FOLDER / f"{arch}.pt")
        compare_answers(model, f"{arch}.pt", pixels, f"--normalisation {mean}:{std}")
        report(f"{arch}: torch loads our model with strict=True, we load torch's, and the answers are the same")


def compare_answers(model, file, pixels, normalisation):
    """With torch's answers as labels, ours are right: but for one that rounding may decide between two classes."""
    with torch.no_grad():
        answers = model(pixels).argmax(1).numpy()
    expect(len(set(answers)) > 2, f"{file}: answers that say something, found {set(answers)}")
    idx("t10k-labels-idx1-ubyte", answers)
    same = json.loads(counterfoil(f"evaluate {file} --data idx {normalisation} --json"))["correct"]
    expect(same >= len(answers) - 1, f"{file}: {same} of {len(answers)} answers are torch's")


def torch_files_are_verified():
    """The trained model as others hand it on: PyTorch's two formats, with prefix, as torch.nn.utils.prune keeps it."""
    model = ResNet20(channels=1)
    model.load_state_dict(torch_tensors(FOLDER / "model.bin"), strict=True)
    pruned = ResNet20(channels=1)
    pruned.load_state_dict(model.state_dict())
    for module in pruned.modules():
        if isinstance(module, nn.Conv2d) and (module.weight == 0).any():
            prune.custom_from_mask(module, "weight", module.weight != 0)
    parallel = {f"module.{name}": value for name, value in model.state_dict().items()}
    proof = "--key owner.pub --claim stamped.claim.json --disclosure panel1.disclosure"
    for name, state in {"plain": model.state_dict(), "parallel": {"state_dict": parallel}, "pruned": pruned.state_dict()}.items():
        for form, zipped in {"pt": True, "th": False}.items():
            torch.save(state, FOLDER / f"{name}.{form}", _use_new_zipfile_serialization=zipped)
            verdict = json.loads(counterfoil(f"verify {name}.{form} {proof} --tests mask --json"))
            expect(verdict["verdict"] == "proven", f"{name}.{form}: {verdict['verdict']}")
            marked = json.loads(counterfoil(f"verify {name}.{form} --key owner.pub --tests mask --json"))
            expect(marked["verdict"] == "marked", f"{name}.{form}: {marked['verdict']}")
    report("models that torch saved (zip and legacy; plain, `module.`, torch.nn.utils.prune) are proven and marked")


def torch_tickets_are_stamped():
    """A model that torch.nn.utils.prune has pruned is a ticket."""
    torch.manual_seed(0)
    model = ResNet20(channels=1)
    layers = [(module, "weight") for module in model.modules() if isinstance(module, nn.Conv2d)][1:]
    prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=0.95)
    for name, zipped in {"theirs.pt": True, "theirs.th": False}.items():
        torch.save(model.state_dict(), FOLDER / name, _use_new_zipfile_serialization=zipped)
        layers = json.loads(counterfoil(f"inspect {name} --json"))["layers"]
        kept = {layer["name"]: layer["kept"] for layer in layers if layer["masked"]}
        masks = {n.removesuffix("_mask"): int(m.sum()) for n, m in model.state_dict().items() if n.endswith("_mask")}
        expect(kept == masks, f"{name}: {kept} kept, expected {masks}")
        counterfoil(f"stamp {name} --key owner.key -o {name}.stamped --unencrypted")
        verdict = json.loads(counterfoil(f"verify {name}.stamped --key owner.pub --tests mask --json"))
        expect(verdict["verdict"] == "marked", verdict["verdict"])
        counterfoil(f"verify {name} --key owner.pub --tests mask", code=1)
        stamped = load_file(FOLDER / f"{name}.stamped")
        restored = ResNet20(channels=1)
        restored.load_state_dict({n: torch.from_numpy(a) for n, a in stamped.items() if not n.endswith("_mask")}, strict=True)
    report("tickets of torch.nn.utils.prune (zip and legacy) are inspected, stamped, and loaded again")


def openssl_checks_keys_and_claims():
    (FOLDER / "pass").write_text("correct horse")
    counterfoil("keygen locked --passphrase-file pass")
    for key, how in {"owner": "", "locked": "-passin file:pass"}.items():
        public = openssl(f"pkey -in {key}.key {how} -pubout")
        expect(public == (FOLDER / f"{key}.pub").read_bytes(), f"{key}.pub is what openssl finds in {key}.key")
    envelope = json.loads((FOLDER / "stamped.claim.json").read_text())
    kind, payload = envelope["payloadType"].encode(), base64.b64decode(envelope["payload"])
    (FOLDER / "pae").write_bytes(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
    (FOLDER / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    openssl("pkeyutl -verify -pubin -inkey owner.pub -rawin -in pae -sigfile sig")
    der = openssl("pkey -pubin -in owner.pub -outform DER")
    (FOLDER / "der").write_bytes(der)
    digest = openssl("dgst -sha256 -r der").split()[0].decode()
    expect(digest == envelope["signatures"][0]["keyid"], "the key's id is the digest of its DER form")
    openssl("genpkey -algorithm ed25519 -out theirs.key")
    (FOLDER / "theirs.pub").write_bytes(openssl("pkey -in theirs.key -pubout"))
    counterfoil("stamp ticket.safetensors --key theirs.key -o by_theirs.safetensors --unencrypted")
    counterfoil("verify by_theirs.safetensors --key theirs.pub --tests mask")
    report("openssl reads our keys, verifies our claim over its PAE, and makes keys that stamp")


def zxing_reads_our_codes():
    """Codes of the ticket, stamped and pruned: where we read one, another decoder reads our picture of it."""
    texts = {"": json.loads(counterfoil("inspect owner.pub --json"))["key_id"][:24], "--text ACME-2026 --version 2 --level q": "ACME-2026"}
    for options, text in texts.items():
        whose = options or "--key owner.pub"
        reading = options.removeprefix("--text ACME-2026")
        counterfoil(f"qr embed ticket.safetensors {whose} -o coded.safetensors --force")
        counterfoil("stamp coded.safetensors --key owner.key -o coded_stamped.safetensors --unencrypted --force")
        counterfoil("attack prune-rand coded_stamped.safetensors --set share=0.1 -o coded_pruned.safetensors --force")
        for name in ["coded", "coded_stamped", "coded_pruned"]:
            read = json.loads(counterfoil(f"qr read {name}.safetensors {reading} --png {name}.png --json --force"))
            expect([code["text"] for code in read["codes"]] == [text], f"{name}: {read}")
            theirs = zxingcpp.read_barcodes(Image.open(FOLDER / f"{name}.png"))
            expect([code.text for code in theirs] == [text], f"{name}: {theirs}")
    expect(read["codes"][0]["damaged"] > 0, f"pruning damages a code: {read}")
    report("zxing reads our pictures of the codes that we read: as embedded, stamped and pruned")


make()
safetensors_opens_our_files()
torch_loads_our_model()
larger_networks_are_torch_s()
torch_files_are_verified()
torch_tickets_are_stamped()
openssl_checks_keys_and_claims()
zxing_reads_our_codes()
