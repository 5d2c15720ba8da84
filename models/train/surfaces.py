"""Surfaces that are never twice the same but always of one kind: brushed, turned, cast and painted."""

import numpy as np
from scipy import ndimage

from drawn import colour, lit, spectrum_noise


class Surface:
    """How a surface of `side` pixels was made; each view is another piece of it."""

    def __init__(self, rng, side):
        self.side = side
        self.tone = colour(rng, 0.4)
        self.make = [brushed, brushed, turned, turned, cast, painted][rng.integers(6)](rng, side)
        self.shade = rng.uniform(0, 0.06)
        self.white = rng.uniform(0, 0.03) * (rng.random() < 0.5)

    def view(self, rng):
        """One piece `[side, side, 3]`, about 0 to 1."""
        light = self.make(rng) + self.shade * spectrum_noise(rng, 2.5, 1, self.side)
        light = light + self.white * rng.normal(size=light.shape)
        return self.tone * light[..., None]


def brushed(rng, side):
    """Strands of several lengths along one direction."""
    angle = rng.uniform(0, np.pi)
    strands = [(rng.uniform(0.01, 0.07), np.exp(rng.uniform(1, 4.5))) for _ in range(rng.integers(1, 4))]
    width = rng.uniform(0.2, 1)

    def view(rng):
        return 1 + sum(share * strand_noise(rng, side, angle, width, length) for share, length in strands)

    return view


def strand_noise(rng, side, angle, width, length):
    """Noise whose grains are `width` by `length` pixels along an angle; mean 0, deviation 1."""
    v, u = np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij")
    along, across = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
    gain = np.exp(-2 * np.pi**2 * ((length * along) ** 2 + (width * across) ** 2))
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(side, side))) * gain, (side, side))
    noise -= noise.mean()
    return noise / (noise.std() + 1e-9)


def turned(rng, side):
    """Grooves around a centre that may lie outside, and highlights that stand with the lamp."""
    y, x = np.mgrid[:side, :side]
    cx, cy = side / 2 + rng.normal(0, 0.8 * side, 2)
    radius, angle = np.hypot(x - cx, y - cy), np.arctan2(y - cy, x - cx)
    lamp, power, bright = rng.uniform(0, np.pi), np.exp(rng.uniform(0.5, 2.5)), rng.uniform(0.2, 2)
    depth, pitch, arc = rng.uniform(0.01, 0.1), rng.uniform(0.6, 4), rng.uniform(0.05, 0.5)

    def view(rng):
        rows, columns = int(radius.max() / pitch) + 2, int(2 * np.pi / arc) + 2
        grooves = rng.normal(size=(rows, columns)) + rng.normal(size=(rows, 1))
        groove = ndimage.map_coordinates(grooves, [radius / pitch, (angle + np.pi) / arc], order=1, mode="nearest")
        shine = np.abs(np.cos(angle - lamp + rng.normal(0, 0.02))) ** power
        return (0.6 + bright * shine) * (1 + depth * groove)

    return view


def cast(rng, side):
    """A rough relief under light from one side."""
    slope, depth, seed = rng.uniform(0.2, 1.6), rng.uniform(0.1, 1.5), rng.integers(2**32)

    def view(rng):
        relief = spectrum_noise(rng, slope, 1, side)
        return lit(np.random.default_rng(seed), relief, depth).mean(2) + 0.3

    return view


def painted(rng, side):
    """Nearly even, with a fine grain."""
    slope, deep = rng.uniform(0, 1), np.exp(rng.uniform(-5, -2.5))
    return lambda rng: 1 + deep * spectrum_noise(rng, slope, 1, side)
