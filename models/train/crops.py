"""Batches of crops: drawn images and photographs, turned, scaled, recoloured, scratched and blurred."""

import csv
import io
import multiprocessing
from collections import Counter

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

import drawn

# ImageNet's mean and deviation: what both teacher and students are fed.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def draw_into(task):
    path, seed, indices = task
    pool = np.load(path, mmap_mode="r+")
    for index in indices:
        pool[index] = drawn.draw(np.random.default_rng([seed, index]))
    pool.flush()


def drawn_pool(folder, count, seed, processes):
    """`count` drawn images `[count, SIZE, SIZE, 3]`, kept in `folder` between runs."""
    path, done = folder / f"drawn-{seed}-{count}.npy", folder / f"drawn-{seed}-{count}.done"
    if not done.exists():
        np.lib.format.open_memmap(path, "w+", np.uint8, (count, drawn.SIZE, drawn.SIZE, 3)).flush()
        with multiprocessing.Pool(processes) as workers:
            tasks = [(path, seed, range(first, min(first + 50, count))) for first in range(0, count, 50)]
            workers.map(draw_into, tasks, chunksize=1)
        done.touch()
    return np.load(path, mmap_mode="r")


def load(folder):
    """The photographs that photographs.py gathered, and how often each is taken: packages with many do not crowd out
    those with few."""
    with open(folder / "manifest.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    of_package = Counter(row["package"] for row in rows)
    weights = np.array([of_package[row["package"]] ** -0.5 for row in rows])
    images = [Image.open(folder / row["photograph"]).convert("RGB") for row in rows]
    return images, weights / weights.sum()


class Crops:
    """Makes batch `step` with its own random numbers, so that a resumed run sees the same crops."""

    def __init__(self, pool, photographs, seed, photograph_share):
        self.pool = pool
        self.photographs, self.weights = load(photographs)
        self.share = photograph_share
        self.seed = seed

    def batch(self, step, count, side):
        """Normalised crops `[count, 3, side, side]`."""
        rng = np.random.default_rng([self.seed, step])
        crops = [self.crop(rng, side) for _ in range(count)]
        return normalised(np.stack(crops))

    def crop(self, rng, side):
        image = self.window(rng, side)
        if rng.random() < 0.15:
            image.paste(self.window(rng, side), mask=blob(rng, side))
        if rng.random() < 0.3:
            scratch(rng, image)
        image = image.transpose(Image.Transpose(int(rng.integers(7))))
        if rng.random() < 0.25:
            image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.8)))
        if rng.random() < 0.1:
            image = compressed(image, int(rng.integers(25, 90)))
        return camera(rng)(np.asarray(image, np.float32) / 255)

    def window(self, rng, side):
        """A square of a source, between half and all of its size but seldom enlarged, as `side` pixels."""
        if rng.random() < self.share:
            source = self.photographs[rng.choice(len(self.photographs), p=self.weights)]
        else:
            source = Image.fromarray(self.pool[rng.integers(len(self.pool))])
        most = min(source.size)
        least = min(side * 0.6, most)
        edge = least * (most / least) ** rng.random()
        left, top = rng.uniform(0, source.width - edge), rng.uniform(0, source.height - edge)
        return source.resize((side, side), Image.BILINEAR, (left, top, left + edge, top + edge))


def blob(rng, side):
    """A soft or hard spot."""
    mask = Image.new("L", (side, side))
    x, y, radius = rng.uniform(0, side, 2).tolist() + [np.exp(rng.uniform(1, 3.5))]
    ImageDraw.Draw(mask).ellipse([x - radius, y - radius * rng.uniform(0.3, 1), x + radius, y + radius * 0.8],
                                 fill=int(rng.integers(60, 256)))
    return mask.filter(ImageFilter.GaussianBlur(rng.uniform(0, 3)))


def scratch(rng, image):
    """Defects as parts have them: fine lines, dots and chips, on whatever is there."""
    pen = ImageDraw.Draw(image, "RGBA")
    for _ in range(rng.integers(1, 4)):
        fill = (*drawn.ink(rng), int(rng.integers(50, 256)))
        start = rng.uniform(0, image.width, 2)
        if rng.random() < 0.6:
            turns = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.25, 8))
            steps = np.stack([np.cos(turns), np.sin(turns)], 1) * np.exp(rng.uniform(0, 2.3))
            pen.line([tuple(p) for p in start + np.cumsum(steps, 0)], fill, int(rng.integers(1, 4)))
        else:
            radius = np.exp(rng.uniform(0, 2.3, 2))
            pen.ellipse([*(start - radius), *(start + radius)], fill)


def compressed(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def camera(rng):
    """Exposure, contrast, tint and noise of some camera, as a function of crops `[h, w, 3]`; a third see grey."""
    mix, kind = np.eye(3, dtype=np.float32), rng.random()
    if kind < 0.33:
        mix = np.repeat(np.array([0.299, 0.587, 0.114], np.float32)[:, None], 3, 1)
    elif kind < 0.67:
        mix = np.eye(3) * rng.uniform(0.3, 1) + rng.dirichlet([0.5] * 3, 3) * rng.uniform(0, 0.7)
        mix = (mix / mix.sum(1)).T.astype(np.float32)
    gamma, gain, offset = 1, 1, 0
    if rng.random() < 0.6:
        gamma = np.float32(np.exp(rng.normal(0, 0.3)))
        gain, offset = np.float32(np.exp(rng.normal(-0.1, 0.35))), np.float32(rng.normal(0, 0.1))
    noise = rng.uniform(0, 0.05) * (rng.random() < 0.4)

    def shot(crop):
        crop = np.maximum(crop @ mix, 0) ** gamma
        crop = (crop - np.float32(0.5)) * gain + np.float32(0.5) + offset
        if noise > 0:
            crop = crop + np.float32(noise) * rng.standard_normal(crop.shape, np.float32)
        return np.clip(crop, 0, 1)

    return shot


def normalised(crops):
    """Crops `[..., h, w, 3]` in 0 to 1 as what networks are fed, `[..., 3, h, w]`."""
    return np.ascontiguousarray(np.moveaxis((crops - MEAN) / STD, -1, -3))
