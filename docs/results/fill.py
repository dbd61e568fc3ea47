#!/usr/bin/env python3
"""Fills the tables of a page from the lines that they are made of. Standard library only.

    python3 docs/results/fill.py docs/results/paper.md
    python3 docs/results/fill.py --check docs/results/paper.md

What stands between `<!-- SCRIPT ARGUMENTS -->`, a script of this folder with its arguments, and the next `<!-- / -->` is replaced by
what the script prints; plots that the arguments name are drawn again. With --check nothing may have changed: pages show no figure
that is not in the lines.
"""

import re
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r"(<!-- (?P<command>\w+\.py [^>]*) -->\n).*?(?=<!-- / -->)", re.DOTALL)


def filled(block):
    script, *arguments = block["command"].split()
    command = [sys.executable, Path(__file__).parent / script, *arguments]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return f"{block[1]}\n{printed.strip()}\n\n"


def main():
    check = sys.argv[1] == "--check"
    for page in map(Path, sys.argv[1 + check:]):
        before = page.read_text()
        after = BLOCK.sub(filled, before)
        if check and after != before:
            raise SystemExit(f"{page}: a table is not what its lines give, expected it as docs/results/fill.py makes it")
        page.write_text(after)


if __name__ == "__main__":
    main()
