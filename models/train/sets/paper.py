"""A printed label and a stamped tablet."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .camera import light
from .flaws import blot, scratch, somewhere
from .scene import Scene, bell, box, disc, fractal, lettering, smooth, stencil, tint, white

SCALE = 4
WIDE, HIGH = 212, 150
LINES = [
    (10, 8, 19, "PX-4120 B"),
    (10, 32, 10, "VALVE SEAT KIT  40/65"),
    (10, 47, 10, "LOT 7731-24A   QTY 12"),
    (10, 62, 8, "Keep dry. Do not stack above 6 layers."),
]


def bars():
    """Left edges and widths of a barcode's bars."""
    widths = np.random.default_rng(5).choice([1.0, 1.0, 2.0, 3.0], 90)
    ends = np.cumsum(widths)
    return [(float(e - w), float(w)) for e, w in zip(ends[::2], widths[::2], strict=True) if e < 150]


def ink(kind, flaw):
    """The label's print as a mask."""
    picture = Image.new("L", (WIDE * SCALE, HIGH * SCALE))
    draw = ImageDraw.Draw(picture)
    odd = int(flaw.integers(len(LINES)))
    for i, (x, y, size, words) in enumerate(LINES):
        if kind == "shifted" and i == odd:
            x, y = x + flaw.choice([-1, 1]) * flaw.uniform(2.5, 4), y + flaw.choice([-1, 1]) * flaw.uniform(1.5, 2.5)
        draw.text((x * SCALE, y * SCALE), words, 255, ImageFont.load_default(size * SCALE))
    stripes = bars()
    odd = int(flaw.choice([i for i, (_, wide) in enumerate(stripes) if wide > 1]))
    for i, (x, wide) in enumerate(stripes):
        if kind == "bar" and i == odd:
            wide = max(0.0, wide - flaw.uniform(2.5, 3))
        if wide >= 0.25:
            draw.rectangle([(10 + x) * SCALE, 82 * SCALE, (10 + x + wide) * SCALE - 1, 124 * SCALE], 255)
    draw.text((34 * SCALE, 128 * SCALE), "4 006381 333931", 255, ImageFont.load_default(11 * SCALE))
    draw.rectangle([172 * SCALE, 84 * SCALE, 202 * SCALE, 114 * SCALE], outline=255, width=round(1.4 * SCALE))
    draw.line([(187 * SCALE, 90 * SCALE), (187 * SCALE, 108 * SCALE)], 255, round(2 * SCALE))
    draw.line([(180 * SCALE, 97 * SCALE), (187 * SCALE, 90 * SCALE), (194 * SCALE, 97 * SCALE)], 255, round(2 * SCALE))
    mask = np.array(picture, np.float32) / 255
    if kind == "stroke":
        gap(mask[: 78 * SCALE], flaw, (3.5, 5))
    return mask


def gap(mask, flaw, radius):
    """Leaves out a spot of the print, somewhere where there is some."""
    rows, columns = np.nonzero(mask > 0.5)
    at = int(flaw.integers(len(rows)))
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    away = np.hypot(y - rows[at], x - columns[at]) - flaw.uniform(*radius) * SCALE
    mask *= np.clip(away / 3, 0, 1)


def label(rng, kind, flaw):
    """A label on cardboard."""
    scene = Scene(rng, shift=1.0, turn=0.4)
    card = 1 + 0.05 * fractal(rng, 0.9) + 0.04 * smooth(rng, 5, 0.5) + 0.02 * np.sin(scene.y * 0.9)
    scene.colour[:] = card[..., None] * np.float32([0.32, 0.2, 0.11])
    paper = 1 + 0.012 * fractal(rng, 0.7)
    window, cover = scene.cover(box(WIDE, HIGH, 5), (0, 0), 140)
    tint(scene.colour[window], cover, paper[window][..., None] * np.float32([0.72, 0.72, 0.69]))
    scene.relief[window] += 0.8 * cover
    slip = tuple(rng.normal(0, 0.2, 2))
    uneven = 0.93 + 0.03 * smooth(rng, 6) + 0.04 * white(rng)
    window, cover = scene.cover(stencil(ink(kind, flaw), SCALE), slip, 140)
    tint(scene.colour[window], cover * np.clip(uneven[window], 0, 1), (0.02, 0.02, 0.025))
    if kind == "smudge":
        where = somewhere(flaw, (-90, -60, 90, 60))
        blot(scene, flaw, where, flaw.uniform(5, 9), flaw.uniform(0.2, 0.3))
    return light(scene, strength=0.35, shadow=0.5, reach=2)


def tablet(rng, kind, flaw):
    """A coated tablet with a score line and a stamped code in a tray."""
    scene = Scene(rng, shift=2, turn=2)
    tray = 0.1 * (1 + 0.05 * fractal(rng, 1.0))
    scene.colour[:] = tray[..., None] * np.float32([0.35, 0.75, 1.0])
    scene.paint(disc(104), (0, 0), 120, (0.025, 0.055, 0.075), rise=-4, soft=6)
    radius, angle = np.hypot(scene.x, scene.y), np.arctan2(scene.y, scene.x)
    edge = np.float32(86)
    if kind == "chip":
        at, size = flaw.uniform(-math.pi, math.pi), flaw.uniform(1.6, 2.6)
        away = np.abs((angle - at + math.pi) % (2 * math.pi) - math.pi) * 86
        edge = edge - size * bell(away / flaw.uniform(4, 7)) * (1 + 0.3 * smooth(flaw, 2))
    chalk = 0.62 * (1 + 0.02 * fractal(rng, 0.6) + 0.02 * smooth(rng, 0.7))
    cover = np.clip(0.5 + (edge - radius) / 0.6, 0, 1)
    tint(scene.colour, cover, chalk[..., None] * np.float32([1.0, 0.97, 0.88]))
    speckle = np.clip(smooth(rng, 0.8) - 2.9, 0, 1) * cover
    scene.colour *= (1 - 0.35 * speckle)[..., None]
    scene.relief += cover * (6 + 10 * np.clip((edge - radius) / 18, 0, 1) ** 0.6)
    scene.paint(box(150, 5, 2), (0, 0), 90, (0.56, 0.54, 0.49), rise=-2.2, soft=3)
    window, cover = scene.cover(stencil(stamp(kind, flaw), SCALE), tuple(rng.normal(0, 0.3, 2)), 80, soft=1)
    scene.relief[window] -= 1.6 * cover
    scene.colour[window] *= (1 - 0.12 * cover)[..., None]
    where = somewhere(flaw, (-50, 10, 50, 50)) if flaw.random() < 0.5 else somewhere(flaw, (-50, -50, 50, -10))
    if kind == "crack":
        scratch(scene, flaw, where, -0.3, length=(20, 38), width=0.9)
    if kind == "speck":
        blot(scene, flaw, where, flaw.uniform(1.2, 1.8), flaw.uniform(0.25, 0.4), tone=(0.7, 0.9, 1.0))
    return light(scene, strength=0.22, shadow=0.5, reach=5)


def stamp(kind, flaw):
    mask = lettering(120, 120, SCALE, [(28, 12, 40, "G 7"), (32, 66, 40, "25")])
    if kind == "stamp":
        gap(mask, flaw, (3.5, 5.5))
    return mask
