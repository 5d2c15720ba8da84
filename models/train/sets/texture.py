"""Woven cloth and planed wood."""

import numpy as np

from .camera import light
from .flaws import blot, scratch, somewhere
from .scene import FINE, GRID, Scene, bell, disc, fractal, smooth

PITCH = 6.5


def fabric(rng, kind, flaw):
    """A 2/1 twill of two yarns."""
    scene = Scene(rng, turn=2)
    x = scene.x + rng.uniform(0, 100) + 0.6 * smooth(rng, 14) + 0.25 * smooth(rng, 2, 14)
    y = scene.y + rng.uniform(0, 100) + 0.6 * smooth(rng, 14) + 0.25 * smooth(rng, 14, 2)
    at = somewhere(flaw, (-100, -100, 100, 100))
    if kind == "spacing":
        away = scene.x - at[0]
        near = bell((scene.y - at[1]) / flaw.uniform(25, 40))
        x = x - flaw.uniform(4, 5.5) * near * away / 5 * np.exp(-np.square(away / 8))
    i, j = np.floor(x / PITCH), np.floor(y / PITCH)
    across, down = 2 * (x / PITCH - i) - 1, 2 * (y / PITCH - j) - 1
    warp_on_top = (i + j) % 3 != 0
    if kind == "broken":
        thread = np.floor(x / PITCH) == np.floor(x[probe(at)] / PITCH)
        warp_on_top = warp_on_top & ~(thread & (np.abs(scene.y - at[1]) < flaw.uniform(7, 12)))
    fibre = np.where(warp_on_top, smooth(rng, 0.5, 3), smooth(rng, 3, 0.5))
    round_yarn = np.sqrt(np.clip(1 - np.square(np.where(warp_on_top, across, down)) * 0.96, 0, 1))
    bow = 0.85 + 0.15 * np.cos(np.where(warp_on_top, down, across) * 1.4)
    warp, weft = np.float32([0.075, 0.095, 0.15]), np.float32([0.17, 0.18, 0.2])
    scene.colour[:] = np.where(warp_on_top[..., None], warp, weft)
    scene.colour *= ((0.3 + 0.7 * round_yarn) * bow * (1 + 0.1 * fibre) * (1 + 0.03 * smooth(rng, 20)))[..., None]
    if kind == "stain":
        blot(scene, flaw, at, flaw.uniform(8, 12), flaw.uniform(0.45, 0.6), tone=(0.9, 1.0, 1.0))
    return light(scene, strength=0.4)


def probe(at):
    """The grid point nearest to a point of a scene that is hardly turned."""
    return tuple(int(np.clip((v + GRID / FINE / 2) * FINE, 0, GRID - 1)) for v in (at[1], at[0]))


def wood(rng, kind, flaw):
    """A planed board: growth rings, fibres and pores along x."""
    scene = Scene(rng, turn=1.5)
    wave = scene.y + 5 * smooth(rng, 60, 22) + 1.2 * smooth(rng, 30, 5)
    rings = wave / 15 + rng.uniform(0, 10)
    late = (rings - np.floor(rings)) ** 3
    fibres = smooth(rng, 14, 0.45)
    pores = np.clip(smooth(rng, 5, 0.5) - 1.9, 0, 1.2)
    tone = 1 + 0.05 * fibres + 0.06 * fractal(rng, 1.2) - 0.26 * late - 0.33 * pores
    scene.colour[:] = np.float32([0.42, 0.24, 0.11]) ** (1 + 0.18 * late[..., None]) * tone[..., None]
    at = somewhere(flaw, (-100, -100, 100, 100))
    if kind == "scratch":
        scratch(scene, flaw, at, flaw.choice([-0.35, 0.35]), length=(22, 45), turn=flaw.uniform(25, 155))
    if kind == "hole":
        scene.paint(disc(flaw.uniform(0.9, 1.4)), at, 6, (0.03, 0.018, 0.01), rise=-1.5, soft=1.2)
    if kind == "stain":
        blot(scene, flaw, at, flaw.uniform(5, 9), flaw.uniform(0.22, 0.32), tone=(0.7, 0.9, 1.0))
    if kind == "crack":
        scratch(scene, flaw, at, -0.85, length=(35, 55), width=1.6, turn=flaw.uniform(-6, 6))
    return light(scene, strength=0.5)
