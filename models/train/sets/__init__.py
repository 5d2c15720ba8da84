"""Held-out sets that PatchCore's ranking is judged on: parts and surfaces with flaws that are hard to see.

Laid out as MVTec AD: train/good, test/good, test/KIND, ground_truth/KIND/NNN_mask.png; 256 x 256 pixels.
"""

import shutil
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from . import camera, electronics, metal, paper, texture

TRAIN, GOOD, FLAWED = 30, 24, 10

# Drawing function, kinds of flaw, and the version: raise it whenever a set is drawn differently.
SETS = {
    "flange": (metal.flange, ["scratch", "missing", "shifted", "nick"], 3),
    "sheet": (metal.sheet, ["scratch", "dent", "stain"], 3),
    "connector": (electronics.connector, ["bent", "missing", "low", "scratch"], 3),
    "board": (electronics.board, ["open", "missing", "shifted", "bridge"], 4),
    "label": (paper.label, ["stroke", "bar", "shifted", "smudge"], 4),
    "tablet": (paper.tablet, ["chip", "crack", "speck", "stamp"], 3),
    "fabric": (texture.fabric, ["broken", "spacing", "stain"], 3),
    "wood": (texture.wood, ["scratch", "hole", "stain", "crack"], 3),
}


def make(folder):
    """Draws the sets that `folder` does not hold in this version."""
    for name, (_, _, version) in SETS.items():
        stamp = Path(folder, name, "version")
        if not (stamp.exists() and stamp.read_text() == str(version)):
            shutil.rmtree(Path(folder, name), ignore_errors=True)
            make_set(Path(folder, name), name)
            stamp.write_text(str(version))


def make_set(folder, name):
    draw, kinds, _ = SETS[name]
    groups = [("train/good", "", TRAIN), ("test/good", "", GOOD)] + [(f"test/{kind}", kind, FLAWED) for kind in kinds]
    for group, kind, count in groups:
        for path in (folder / group, folder / "ground_truth" / kind):
            path.mkdir(parents=True, exist_ok=True)
        for i in range(count):
            picture, mask = take(draw, f"{name}/{group}/{i}", kind)
            picture.save(folder / group / f"{i:03}.png")
            if kind:
                Image.fromarray(mask).save(folder / "ground_truth" / kind / f"{i:03}_mask.png")


def take(draw, seed, kind):
    """A photograph and, of a flawed part, the mask of what differs from the same part without the flaw."""

    def rng(use):
        return np.random.default_rng(zlib.crc32(f"{seed}/{use}".encode()))

    scene = draw(rng("scene"), kind, rng("flaw"))
    mask = None
    if kind:
        clean = draw(rng("scene"), "", rng("flaw"))
        mask = np.uint8(255) * camera.difference(clean, scene)
    return camera.photograph(scene, rng("camera")), mask
