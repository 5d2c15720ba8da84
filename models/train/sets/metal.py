"""A turned flange and a brushed sheet."""

import math

import numpy as np
from scipy import ndimage

from .camera import light
from .flaws import blot, dent, scratch, somewhere
from .scene import Scene, bell, disc, fractal, shaped, smooth, tint, white


def polar(angle, radius):
    return radius * math.cos(angle), radius * math.sin(angle)


def flange(rng, kind, flaw):
    """A turned ring with six bolt holes and three dowel holes on a rubber belt."""
    scene = Scene(rng, shift=2.5, turn=2)
    belt = 0.035 * (1 + 0.12 * fractal(rng, 0.8) + 0.1 * white(rng))
    scene.colour[:] = belt[..., None] * np.float32([1.0, 0.98, 0.95])
    radius, angle = np.hypot(scene.x, scene.y), np.arctan2(scene.y, scene.x)
    edge = np.float32(100)
    if kind == "nick":
        at, size = flaw.uniform(-math.pi, math.pi), flaw.uniform(1.1, 1.9)
        away = np.abs((angle - at + math.pi) % (2 * math.pi) - math.pi) * 100
        edge = edge - size * bell(away / flaw.uniform(3, 5))
    cover = np.clip(0.5 + (edge - radius) / 0.5, 0, 1) * np.clip(0.5 + (radius - 30) / 0.5, 0, 1)
    tint(scene.colour, cover, turned(rng, radius, angle, scene.angle))
    inner = np.minimum(edge - radius, radius - 30)
    scene.relief += cover * (2 + 2.5 * np.clip(inner / 3, 0, 1)) + 2 * np.clip((47 - radius) / 2.5, 0, 1) * cover
    scene.shine += 0.12 * cover
    holes(scene, kind, flaw)
    if kind == "scratch":
        where = polar(flaw.uniform(-math.pi, math.pi), flaw.uniform(55, 88))
        scratch(scene, flaw, where, flaw.choice([-0.3, 0.4]), length=(25, 50))
    return light(scene, strength=0.35, shadow=0.5, reach=5)


def turned(rng, radius, angle, turn):
    """Light of a turned surface: fine grooves, and the bow-tie highlight that stands with the lamp."""
    grooves = shaped(rng, lambda u, v: np.exp(-2 * np.pi**2 * (np.square(0.8 * u) + np.square(24 * v))), (256, 512))
    at = [(angle / (2 * math.pi) % 1) * 256, np.clip(radius, 0, 120) * 4]
    grooves = ndimage.map_coordinates(grooves, at, order=1, mode="wrap")
    lamp = np.abs(np.cos(angle + turn - 0.8 + rng.normal(0, 0.03)))
    bright = 0.2 + 0.3 * lamp**8 + 0.08 * lamp**2
    return (bright * (1 + 0.07 * grooves))[..., None] * np.float32([0.98, 1.0, 1.02])


def holes(scene, kind, flaw):
    odd = int(flaw.integers(6))
    for i in range(6):
        x, y = polar(i * math.pi / 3 + 0.2, 73)
        if kind == "shifted" and i == odd:
            dx, dy = polar(flaw.uniform(-math.pi, math.pi), flaw.uniform(4, 5.5))
            x, y = x + dx, y + dy
        hole(scene, (x, y), 8.5)
    for i in range(3):
        if not (kind == "missing" and i == odd % 3):
            hole(scene, polar(i * 2 * math.pi / 3 + 0.75, 60), 1.9)


def hole(scene, at, radius):
    scene.paint(disc(radius + 1), at, radius + 4, (0.3, 0.3, 0.3), rise=-1.0, soft=1.5)
    scene.paint(disc(radius), at, radius + 4, (0.012, 0.012, 0.012), rise=-3.0, shine=0.0, soft=1.0)


def sheet(rng, kind, flaw):
    """Brushed steel."""
    scene = Scene(rng, turn=1.5)
    base = 0.3 * (1 + 0.04 * smooth(rng, 50) + 0.05 * np.cos(scene.x / 60 + rng.uniform(0, 6)))
    strands = ((0.05, 60), (0.06, 15), (0.035, 4))
    brushed = sum(share * smooth(rng, length, 0.35, scene.angle) for share, length in strands)
    scene.colour[:] = (base * (1 + brushed))[..., None] * np.float32([0.97, 1.0, 1.04])
    where = somewhere(flaw, (-105, -105, 105, 105))
    if kind == "scratch":
        scratch(scene, flaw, where, flaw.choice([-0.16, 0.19]), turn=flaw.uniform(15, 165))
    if kind == "dent":
        dent(scene, flaw, where, flaw.uniform(4, 7), flaw.uniform(0.9, 1.4))
    if kind == "stain":
        blot(scene, flaw, where, flaw.uniform(6, 10), 0.05, rim=0.075, tone=(0.8, 0.9, 1.0))
    return light(scene, strength=0.5)
