"""A flat scene seen from above: colour, relief and shine on a fine grid, and the shapes that are painted on it.

Lengths are pixels of the finished picture, coordinates count from its centre in the frame of the posed object, colours
are linear light in [0, 1].
"""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import fft, ndimage

SIDE = 256
FINE = 2
GRID = SIDE * FINE


class Scene:
    """Colour [GRID, GRID, 3], relief in pixels and shine [GRID, GRID]."""

    def __init__(self, rng, shift=0.0, turn=0.0):
        self.dx, self.dy = rng.uniform(-shift, shift, 2)
        self.angle = math.radians(rng.uniform(-turn, turn))
        axis = ((np.arange(GRID) + 0.5) / FINE - SIDE / 2).astype(np.float32)
        x, y = axis[None, :] - self.dx, axis[:, None] - self.dy
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        self.x, self.y = cos * x + sin * y, cos * y - sin * x
        self.colour = np.zeros((GRID, GRID, 3), np.float32)
        self.relief = np.zeros((GRID, GRID), np.float32)
        self.shine = np.zeros((GRID, GRID), np.float32)

    def window(self, centre, reach):
        """The part of the grid within `reach` of a point of the object."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        x = cos * centre[0] - sin * centre[1] + self.dx
        y = sin * centre[0] + cos * centre[1] + self.dy

        def span(at):
            low, high = (at - reach + SIDE / 2) * FINE, (at + reach + SIDE / 2) * FINE
            return slice(max(0, math.floor(low)), max(0, min(GRID, math.ceil(high))))

        return span(y), span(x)

    def cover(self, shape, centre, reach, soft=0.5):
        """The window around `centre` and how much of it `shape` covers, with an edge `soft` pixels wide."""
        window = self.window(centre, reach)
        distance = shape(self.x[window] - centre[0], self.y[window] - centre[1])
        return window, np.clip(0.5 - distance / soft, 0, 1)

    def paint(self, shape, centre, reach, colour, rise=0.0, shine=None, soft=0.5):
        """Paints `shape`, and raises it by `rise`."""
        window, cover = self.cover(shape, centre, reach, soft)
        tint(self.colour[window], cover, colour)
        self.relief[window] += rise * cover
        if shine is not None:
            self.shine[window] += (shine - self.shine[window]) * cover

    def darken(self, shape, centre, reach, share, soft=0.5):
        """Multiplies what `shape` covers by 1 - `share`."""
        window, cover = self.cover(shape, centre, reach, soft)
        self.colour[window] *= (1 - share * cover)[..., None]


def tint(colour, cover, new):
    """Moves `colour` towards `new` where there is `cover`, in place."""
    colour += (np.asarray(new, np.float32) - colour) * cover[..., None]


def disc(radius):
    return lambda x, y: np.hypot(x, y) - radius


def ring(radius, width):
    return lambda x, y: np.abs(np.hypot(x, y) - radius) - width / 2


def box(width, height, corner=0.0, turn=0.0):
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))

    def distance(x, y):
        a = np.abs(cos * x + sin * y) - width / 2 + corner
        b = np.abs(cos * y - sin * x) - height / 2 + corner
        return np.hypot(np.maximum(a, 0), np.maximum(b, 0)) + np.minimum(np.maximum(a, b), 0) - corner

    return distance


def line(dx, dy, width):
    """A round-ended stroke from the origin."""

    def distance(x, y):
        along = np.clip((x * dx + y * dy) / (dx * dx + dy * dy), 0, 1)
        return np.hypot(x - along * dx, y - along * dy) - width / 2

    return distance


def stencil(mask, scale):
    """A picture as a shape: `mask` in [0, 1] with `scale` of its pixels a pixel, centred."""

    def distance(x, y):
        rows, columns = mask.shape
        at = [y * scale + rows / 2 - 0.5, x * scale + columns / 2 - 0.5]
        return 0.5 * (0.5 - ndimage.map_coordinates(mask, at, order=1, cval=0.0))

    return distance


def lettering(width, height, scale, texts):
    """A mask of `width` x `height` pixels at `scale`: texts are (x, y, size, words) from its top left corner."""
    picture = Image.new("L", (round(width * scale), round(height * scale)))
    draw = ImageDraw.Draw(picture)
    for x, y, size, words in texts:
        draw.text((x * scale, y * scale), words, 255, ImageFont.load_default(size * scale))
    return np.array(picture, np.float32) / 255


def white(rng, *shape):
    return rng.standard_normal(shape or (GRID, GRID), dtype=np.float32)


def shaped(rng, gain, shape=(GRID, GRID)):
    """White noise through a filter given by its gain at the frequencies (across, down); variance 1, wrapping around."""
    across, down = fft.rfftfreq(shape[1])[None, :], fft.fftfreq(shape[0])[:, None]
    spectrum = fft.rfft2(white(rng, *shape)) * gain(across, down).astype(np.float32)
    spectrum[0, 0] = 0
    noise = fft.irfft2(spectrum, shape)
    return noise / noise.std()


def smooth(rng, across, down=None, turn=0.0):
    """Noise whose grains are about that many pixels wide and high, turned by an angle."""
    wide, high = FINE * across, FINE * (across if down is None else down)
    cos, sin = math.cos(turn), math.sin(turn)

    def gain(u, v):
        along, beside = cos * u + sin * v, cos * v - sin * u
        return np.exp(-2 * np.pi**2 * (np.square(wide * along) + np.square(high * beside)))

    return shaped(rng, gain)


def fractal(rng, exponent):
    """1/f^`exponent` noise."""
    return shaped(rng, lambda u, v: np.maximum(np.hypot(u, v), 1 / GRID) ** -exponent)


def bell(x):
    """1 at 0, falling smoothly to 0 at -1 and 1."""
    return np.square(np.clip(1 - np.square(x), 0, 1))
