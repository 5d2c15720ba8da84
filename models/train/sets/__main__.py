"""Draws the sets into a folder, and with `--sheet FILE` a contact sheet: good pictures, then two of each kind of
flaw and the mask of the second."""

import argparse
from pathlib import Path

from PIL import Image

from . import SETS, make

parser = argparse.ArgumentParser(description="Draw the held-out sets in the MVTec AD layout.")
parser.add_argument("folder", type=Path)
parser.add_argument("--sheet", type=Path, help="a contact sheet to write")
parser.add_argument("--of", nargs="*", default=list(SETS), help="the sets on it")
arguments = parser.parse_args()
make(arguments.folder)
if arguments.sheet:
    rows = []
    for name in arguments.of:
        root = arguments.folder / name
        row = [root / "train/good/000.png", root / "test/good/001.png"]
        for kind in SETS[name][1]:
            row += [root / "test" / kind / "000.png", root / "test" / kind / "001.png"]
            row += [root / "ground_truth" / kind / "001_mask.png"]
        rows.append(row)
    sheet = Image.new("RGB", (256 * max(map(len, rows)), 256 * len(rows)))
    for y, row in enumerate(rows):
        for x, path in enumerate(row):
            sheet.paste(Image.open(path).convert("RGB"), (256 * x, 256 * y))
    sheet.save(arguments.sheet)
