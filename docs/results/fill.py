#!/usr/bin/env python3
"""Fills the tables of a page from the lines that they are made of. Standard library only.

    python3 docs/results/fill.py docs/results/paper.md
    python3 docs/results/fill.py --check docs/results/paper.md

What stands between `<!-- SCRIPT ARGUMENTS -->`, a script of this folder with its arguments, and the next `<!-- / -->` is replaced by
what the script prints; plots that the arguments name are drawn again. With --check nothing is written, and all of it must be there
already.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

BLOCK = re.compile(r"(<!-- (?P<command>\w+\.py [^>]*) -->\n).*?(?=<!-- / -->)", re.DOTALL)


def filled(block, check):
    script, *arguments = block["command"].split()
    with tempfile.TemporaryDirectory() as folder:
        plots = {argument: Path(folder, Path(argument).name) for argument in arguments if argument.endswith(".svg")}
        arguments = [plots.get(argument, argument) for argument in arguments]
        command = [sys.executable, Path(__file__).parent / script, *arguments]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if run.returncode != 0:
            raise SystemExit(f"'{block['command']}' failed")
        for plot, drawn in plots.items():
            if not check:
                Path(plot).write_bytes(drawn.read_bytes())
            elif not Path(plot).is_file() or Path(plot).read_bytes() != drawn.read_bytes():
                raise SystemExit(f"{plot}: is not what its lines give, expected it as docs/results/fill.py draws it")
    return f"{block[1]}\n{run.stdout.strip()}\n\n"


def main():
    check = "--check" in sys.argv
    pages = [Path(argument) for argument in sys.argv[1:] if argument != "--check"]
    if not pages:
        raise SystemExit(__doc__)
    for page in pages:
        before = page.read_text()
        after, blocks = BLOCK.subn(lambda block: filled(block, check), before)
        if blocks == 0 or blocks != before.count("<!-- / -->"):
            raise SystemExit(f"{page}: {blocks} tables between '<!-- SCRIPT ARGUMENTS -->' and '<!-- / -->', expected as many as ends")
        if check and after != before:
            raise SystemExit(f"{page}: a table is not what its lines give, expected it as docs/results/fill.py makes it")
        if not check:
            page.write_text(after)


if __name__ == "__main__":
    main()
