"""What the tables beside this file share: reading JSON lines, and numbers as they print. Standard library only."""

import json
import statistics
from collections import defaultdict
from pathlib import Path


def read(path, *fields):
    """The values of `fields` (one alone, several as a tuple) -> seed -> line, in the file's order.

    A seed that comes twice under the same values is an error: which of the lines counts would be a choice.
    """
    rows = defaultdict(dict)
    for number, text in enumerate(Path(path).read_text().splitlines(), 1):
        line = json.loads(text)
        key = tuple(line[field] for field in fields)
        seeds = rows[key if len(fields) > 1 else key[0]]
        if line["seed"] in seeds:
            raise SystemExit(f"{path}:{number}: seed {line['seed']} of {', '.join(map(str, key))} repeated")
        seeds[line["seed"]] = line
    return rows


def data_name(line):
    """What was learned, and by which network if not by the usual ResNet-20, as a page calls it. Of folders only CIFAR-10 was
    measured."""
    settings = line["settings"]
    network = {"resnet18": "ResNet-18, ", "resnet50": "ResNet-50, ", "vgg16": "VGG-16, "}.get(settings.get("arch"), "")
    if line["data"] == "digits":
        return f"{network}digits"
    side = settings.get("side") or 32
    half = "the other five classes of " if settings.get("transfer") else ""
    return f"{network}{half}CIFAR-10 at {side}×{side}"


def points(line):
    """Accuracy in per cent."""
    return 100 * line["correct"] / line["of"]


def minus(text):
    """With minus signs in the place of hyphens."""
    return text.replace("-", "−")


def mean_and_spread(values, digits=1):
    """`mean ± standard deviation` of the sample; the mean alone for a single value."""
    mean = minus(f"{statistics.mean(values):.{digits}f}")
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def standard_error(values):
    """Of the mean; a dash for a single value."""
    return f"{statistics.stdev(values) / len(values) ** 0.5:.2f}" if len(values) > 1 else "–"
