"""Flaws that any surface can have."""

import math

import numpy as np

from .scene import bell


def somewhere(rng, area):
    """A point in a box (left, top, right, bottom)."""
    return rng.uniform(area[0], area[2]), rng.uniform(area[1], area[3])


def scratch(scene, rng, centre, contrast, length=(30, 60), width=1.0, turn=None):
    """A hairline, slightly bent, fading at its ends: `contrast` times brighter or, if negative, darker."""
    half = rng.uniform(*length) / 2
    angle = rng.uniform(0, math.pi) if turn is None else math.radians(turn)
    bend = rng.uniform(-1, 1) * 0.12 / half
    window = scene.window(centre, half + 4)
    x, y = scene.x[window] - centre[0], scene.y[window] - centre[1]
    along = math.cos(angle) * x + math.sin(angle) * y
    across = math.cos(angle) * y - math.sin(angle) * x - bend * np.square(along)
    line = np.exp(-np.square(across / (0.6 * width))) * np.sqrt(bell(along / half))
    scene.colour[window] *= (1 + contrast * line)[..., None]


def blot(scene, rng, centre, radius, share, rim=0.0, tone=(1.0, 1.0, 1.0)):
    """A stain with a ragged outline, taking `share` of the light in the colours of `tone`; `rim` darkens its edge."""
    window = scene.window(centre, 1.8 * radius)
    x, y = scene.x[window] - centre[0], scene.y[window] - centre[1]
    angle, ragged = np.arctan2(y, x), np.ones_like(x)
    for lobes in (1, 2, 3, 5):
        ragged += 0.28 / lobes * math.sqrt(rng.random()) * np.cos(lobes * angle + rng.uniform(0, 2 * math.pi))
    inside = np.hypot(x, y) / (radius * ragged)
    cover = np.clip((1 - inside) * radius / 1.5 + 0.5, 0, 1)
    edge = np.exp(-np.square((inside - 0.92) * radius / 1.2))
    taken = share * cover + rim * edge
    scene.colour[window] *= 1 - taken[..., None] * np.asarray(tone, np.float32)


def dent(scene, rng, centre, radius, depth):
    """A shallow oval dent."""
    stretch, angle = rng.uniform(0.7, 1.0), rng.uniform(0, math.pi)
    window = scene.window(centre, radius + 2)
    x, y = scene.x[window] - centre[0], scene.y[window] - centre[1]
    along = math.cos(angle) * x + math.sin(angle) * y
    across = (math.cos(angle) * y - math.sin(angle) * x) / stretch
    scene.relief[window] -= depth * bell(np.hypot(along, across) / radius)
