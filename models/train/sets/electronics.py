"""A pin header and a populated circuit board."""

import numpy as np

from .camera import light
from .flaws import scratch, somewhere
from .scene import Scene, box, disc, fractal, lettering, line, smooth, stencil, white


def connector(rng, kind, flaw):
    """A housing with two rows of pins."""
    scene = Scene(rng, shift=1.5, turn=0.7)
    scene.colour[:] = (0.42 * (1 + 0.03 * fractal(rng, 0.9)))[..., None] * np.float32([0.95, 1.0, 1.0])
    plastic = np.float32([0.05, 0.05, 0.055])
    scene.paint(box(222, 108, 6), (0, 0), 140, plastic, rise=6, shine=0.05, soft=2)
    scene.paint(box(206, 92, 4), (0, 0), 140, 0.6 * plastic, rise=-3, soft=1.5)
    for side in (-1, 1):
        scene.paint(box(40, 8, 2), (0, side * 58), 30, plastic, rise=4, shine=0.05, soft=1.5)
    scene.paint(box(5, 5, 1), (-96, -39), 10, (0.5, 0.5, 0.48), soft=1)
    grain = 1 + 0.12 * white(rng) + 0.06 * smooth(rng, 3)
    scene.colour *= np.where(scene.relief > 1, grain, 1)[..., None]
    odd = (int(flaw.integers(12)), int(flaw.integers(2)))
    for row in range(2):
        for column in range(12):
            pin(scene, rng, (16 * column - 88, 44 * row - 22), kind if (column, row) == odd else "", flaw)
    if kind == "scratch":
        area = [(-100, -52, 100, -44), (-100, 44, 100, 52), (-80, -3, 80, 3)][int(flaw.integers(3))]
        scratch(scene, flaw, somewhere(flaw, area), 2.2, length=(18, 35), turn=flaw.uniform(-25, 25))
    return light(scene, strength=0.3, shadow=0.5, reach=5)


def pin(scene, rng, at, kind, flaw):
    """A square cavity with a tinned pin; each pin stands a little off and shines a little differently."""
    dx, dy, glow = rng.normal(0, 0.15), rng.normal(0, 0.15), np.exp(rng.normal(0, 0.05))
    scene.paint(box(11, 26, 1), at, 18, (0.012, 0.012, 0.012), rise=-2, soft=1)
    if kind == "missing":
        return
    if kind == "bent":
        dx += flaw.choice([-1, 1]) * flaw.uniform(2.4, 3.4)
    if kind == "low":
        glow *= 0.25
    x, y = at[0] + dx, at[1] + dy
    metal = glow * np.float32([0.5, 0.43, 0.28])
    scene.paint(box(5.5, 18, 1), (x, y), 14, 0.55 * metal, rise=2, soft=0.8)
    scene.paint(box(4, 5, 1), (x, y - 2), 8, metal, rise=2, shine=0.2, soft=1)


RESISTORS = [(-96 + 15 * i, -62) for i in range(8)] + [(70, -18 + 17 * i) for i in range(5)]
MASK, COPPER, TIN = (0.016, 0.085, 0.035), (0.05, 0.22, 0.09), (0.48, 0.48, 0.46)


def traces():
    """Straight pieces (x, y, dx, dy) of the board's traces."""
    fan = [(-76 + 9 * i, 18, 0, 18 + 7 * (i % 3)) for i in range(8)]
    bends = [(x, y + dy, 12, 12) for x, y, _, dy in fan]
    bus = [(-110, 88 + 7 * i, 150 - 9 * i, 0) for i in range(4)]
    drops = [(-96 + 15 * i, -54, 0, 20 + 4 * (i % 2)) for i in range(8)]
    links = [(20, -12 + 9 * i, 40, 0) for i in range(6)]
    return fan + bends + bus + drops + links


def board(rng, kind, flaw):
    """A circuit board with two chips, a row and a column of resistors, traces and vias."""
    scene = Scene(rng, shift=1.2, turn=0.4)
    scene.colour[:] = (1 + 0.04 * fractal(rng, 1.0) + 0.04 * white(rng))[..., None] * np.float32(MASK)
    lines = traces()
    for x, y, dx, dy in lines:
        reach = np.hypot(dx, dy) + 4
        scene.paint(line(dx, dy, 2.4), (x, y), reach, COPPER, rise=0.7, shine=0.02, soft=0.8)
    if kind == "open":
        x, y, dx, dy = lines[int(flaw.integers(len(lines)))]
        share, angle = flaw.uniform(0.3, 0.7), np.degrees(np.arctan2(dy, dx))
        gap = box(flaw.uniform(8, 11), 3.6, 0.5, turn=angle)
        scene.paint(gap, (x + share * dx, y + share * dy), 6, MASK, rise=-0.7, shine=0.0, soft=0.8)
    for x, y, dx, dy in lines[8:16]:
        via(scene, (x + dx, y + dy))
    for x, y, _, dy in lines[20:28]:
        via(scene, (x, y + dy))
    chip(scene, rng, (-44, 0), 8, 84, kind, flaw)
    chip(scene, rng, (92, 84), 4, 46, "", flaw)
    odd = int(flaw.integers(len(RESISTORS)))
    for i, at in enumerate(RESISTORS):
        resistor(scene, rng, at, i < 8, kind if i == odd else "", flaw)
    silk(scene)
    return light(scene, strength=0.4, shadow=0.45, reach=3)


def via(scene, at):
    scene.paint(disc(3.2), at, 7, (0.3, 0.3, 0.24), rise=0.5, shine=0.1, soft=0.8)
    scene.paint(disc(1.4), at, 5, (0.01, 0.012, 0.01), rise=-1, soft=0.8)


def chip(scene, rng, at, legs, width, kind, flaw):
    """A moulded package with legs on two sides; solder joins two of them on a bridged one."""
    pitch, tall = (9, 24) if legs == 8 else (10, 22)
    dx, dy = rng.normal(0, 0.15, 2)
    at = (at[0] + dx, at[1] + dy)
    bridge = (int(flaw.integers(legs - 1)), int(flaw.choice([-1, 1])))
    for side in (-1, 1):
        for i in range(legs):
            x = at[0] + pitch * (i - (legs - 1) / 2)
            y = at[1] + side * (tall / 2 + 4)
            glow = np.exp(rng.normal(0, 0.05))
            scene.paint(box(4.2, 9, 1), (x, y), 9, glow * np.float32(TIN), rise=1.2, shine=0.25, soft=1)
            if kind == "bridge" and (i, side) == bridge:
                scene.paint(box(8, 5, 1.5), (x + pitch / 2, y + side * 1.5), 9, 0.8 * np.float32(TIN), rise=1, soft=1)
    scene.paint(box(width, tall, 1.5), at, width, (0.022, 0.022, 0.024), rise=5, shine=0.03, soft=2)
    scene.paint(disc(2), (at[0] - width / 2 + 6, at[1] + tall / 2 - 6), 6, (0.01, 0.01, 0.01), rise=-1, soft=1)
    mark = stencil(lettering(44, 12, 4, [(2, 1, 9, "K4 217A" if legs == 8 else "T62")]), 4)
    scene.paint(mark, at, 30, (0.13, 0.13, 0.13))


def resistor(scene, rng, at, upright, kind, flaw):
    """Two pads with a resistor soldered across."""
    turn = (90 if upright else 0) + rng.normal(0, 0.7)
    pads = [(0, -6), (0, 6)] if upright else [(-6, 0), (6, 0)]
    for px, py in pads:
        scene.paint(box(7, 7, 1), (at[0] + px, at[1] + py), 9, TIN, rise=0.5, shine=0.2, soft=1)
    x, y = at + rng.normal(0, 0.15, 2)
    if kind == "missing":
        return
    if kind == "shifted":
        x, y = x + flaw.choice([-1, 1]) * flaw.uniform(2, 3), y + flaw.uniform(-2, 2)
        turn += flaw.choice([-1, 1]) * flaw.uniform(6, 14)
    scene.paint(box(13, 7, 0.5, turn), (x, y), 12, (0.55, 0.54, 0.5), rise=2.5, shine=0.2, soft=1)
    scene.paint(box(7.5, 7.2, 0, turn), (x, y), 12, (0.03, 0.03, 0.035), rise=0.4, shine=0.02, soft=0.8)


def silk(scene):
    """White print."""
    words = [(4, 40, 9, "R1"), (4, 80, 9, "U3"), (150, 22, 10, "REV C")]
    words += [(205, 60, 8, "R9"), (150, 158, 9, "U7"), (8, 188, 8, "J2")]
    scene.paint(stencil(lettering(240, 240, 3, words), 3), (0, 0), 135, (0.55, 0.56, 0.52))
    scene.paint(box(130, 1.2), (-44, -46), 70, (0.5, 0.5, 0.47))
