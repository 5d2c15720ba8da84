"""Light on a scene, and the camera that looks at it."""

import io

import numpy as np
from PIL import Image
from scipy import ndimage

from .scene import FINE, GRID, SIDE


def light(scene, towards=(-0.7, -0.7), strength=0.5, shadow=0.0, reach=4.0):
    """Linear light that leaves the scene: slopes towards the lamp are brighter, tall parts shade what lies behind."""
    relief = ndimage.gaussian_filter(scene.relief, 0.4 * FINE, truncate=3)
    down, across = np.gradient(relief, 1 / FINE)
    slope = across * towards[0] + down * towards[1]
    picture = scene.colour * np.clip(1 - strength * slope, 0.15, 2.5)[..., None]
    picture += (scene.shine * np.exp(-np.square((slope + 0.35) / 0.25)))[..., None]
    if shadow:
        offset = [-towards[1] * reach * FINE, -towards[0] * reach * FINE]
        behind = ndimage.gaussian_filter(ndimage.shift(relief, offset, order=1), reach * 0.4 * FINE, truncate=3)
        picture *= (1 - shadow * np.clip((behind - relief) / 3, 0, 1))[..., None]
    return picture


def photograph(picture, rng):
    """The 8-bit photograph of linear light: uneven lamps, exposure, lens, sensor, compression."""
    axis = np.linspace(-1, 1, GRID, dtype=np.float32)
    x, y = axis[None, :], axis[:, None]
    tilt = rng.normal(0, 0.05, 2)
    lamps = 1 + tilt[0] * x + tilt[1] * y - rng.uniform(0.06, 0.14) * (x * x + y * y)
    gains = np.exp(rng.normal(0, 0.035)) * np.exp(rng.normal(0, 0.006, 3))
    seen = picture * lamps[..., None] * gains.astype(np.float32)
    lens = rng.uniform(0.35, 0.55) * FINE
    seen = ndimage.gaussian_filter(seen, (lens, lens, 0), truncate=3)
    seen = seen.reshape(SIDE, FINE, SIDE, FINE, 3).mean((1, 3))
    seen = np.clip(seen, 0, None)
    noise = rng.standard_normal(seen.shape, dtype=np.float32)
    noise = 0.8 * noise + 0.5 * ndimage.uniform_filter(noise, (3, 3, 1))
    seen += noise * np.sqrt(0.0025**2 + 0.00022 * seen)
    pixels = np.round(255 * np.clip(seen, 0, 1) ** (1 / 2.2)).astype(np.uint8)
    return compressed(Image.fromarray(pixels), int(rng.integers(88, 96)))


def compressed(picture, quality):
    """The picture as JPEG gives it back."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, subsampling=0)
    return Image.open(file).convert("RGB")


def difference(clean, flawed):
    """Where two lights differ so that it could be seen: a mask of SIDE x SIDE pixels."""
    shown = [np.clip(p, 0, 1) ** (1 / 2.2) for p in (clean, flawed)]
    change = np.abs(shown[0] - shown[1]).max(2).reshape(SIDE, FINE, SIDE, FINE).mean((1, 3))
    return ndimage.binary_dilation(change > max(0.2 * change.max(), 0.004))
