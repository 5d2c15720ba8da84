"""Groups of crops as a line sees them: good ones that differ as good parts do, and the same with a small flaw."""

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from scipy import ndimage

from assemblies import Assembly, misassembled
from crops import Crops, camera, compressed, normalised
from surfaces import Surface

GOOD, FLAWED = 4, 2
MARGIN = 16  # pixels around a crop from which it can be moved and turned
LEAST_CHANGE = 0.03


class Groups(Crops):
    """Makes the groups of step `step` with their own random numbers."""

    def groups(self, step, count, side):
        """Normalised crops `[count, GOOD + FLAWED, 3, side, side]`, and how much each pixel of the flawed ones was
        changed, `[count, FLAWED, side, side]` in 0 to 1."""
        rng = np.random.default_rng([self.seed, step, 1])
        made = [self.group(rng, side) for _ in range(count)]
        return np.stack([crops for crops, _ in made]), np.stack([changed for _, changed in made])

    def group(self, rng, side):
        kind = rng.random()
        make = assembly if kind < 0.35 else surface if kind < 0.5 else self.object if kind < 0.8 else self.texture
        views, changes = make(rng, side)
        blur = rng.uniform(0.3, 1.5) * (rng.random() < 0.25)
        quality = int(rng.integers(40, 95)) if rng.random() < 0.1 else None
        turn = Image.Transpose(int(rng.integers(7)))
        shot = camera(rng)
        crops = []
        for view in views:
            view = view.transpose(turn).filter(ImageFilter.GaussianBlur(blur))
            view = view if quality is None else compressed(view, quality)
            crops.append(shot(exposed(rng, np.asarray(view, np.float32) / 255)))
        changes = [np.asarray(Image.fromarray(change).transpose(turn)) for change in changes]
        return normalised(np.stack(crops)), np.stack(changes)

    def object(self, rng, side):
        """One place, as parts lie that are put down again and again."""
        source, edge = self.source(rng, side, self.share)
        view = window(rng, source, edge, side + 2 * MARGIN)
        loose = rng.uniform(0, 2)
        return spoilt(rng, [lying(rng, view, side, loose) for _ in range(GOOD + FLAWED)])

    def texture(self, rng, side):
        """Several places near each other at one scale."""
        # Few photographs look the same a step aside.
        source, edge = self.source(rng, side, 0.4 * self.share)
        edge = min(edge, min(source.size) * 0.6)
        reach = min(2.2 * edge, *source.size)
        left, top = rng.uniform(0, source.width - reach), rng.uniform(0, source.height - reach)
        near = source.crop([int(v) for v in (left, top, left + reach, top + reach)])
        edge = min(edge, *near.size)
        return spoilt(rng, [window(rng, near, edge, side) for _ in range(GOOD + FLAWED)])

    def source(self, rng, side, photograph_share):
        if rng.random() < photograph_share:
            source = self.photographs[rng.choice(len(self.photographs), p=self.weights)]
        else:
            source = Image.fromarray(self.pool[rng.integers(len(self.pool))])
        most = min(source.size)
        least = min(side * 0.6, most)
        return source, least * (most / least) ** rng.random()


def assembly(rng, side):
    """Parts put together of many small ones; most flaws are that one of those is wrong."""
    whole = Assembly(rng, side + 2 * MARGIN)
    inner, loose = whole.inner(), rng.uniform(0, 2)
    views, changes = [], []
    for i in range(GOOD + FLAWED):
        pieces = whole.good(rng)
        seeds = rng.integers(2**32, size=2)  # the same grain and place for the part with and without its flaw

        def show(pieces):
            grain, put = (np.random.default_rng(seed) for seed in seeds)
            return lying(put, whole.picture(grain, pieces), side, loose)

        view = show(pieces)
        if i >= GOOD:
            view, change = misassembly(rng, show, pieces, inner, view)
            changes.append(change)
        views.append(view)
    return views, changes


def misassembly(rng, show, pieces, inner, good):
    """The view with a piece that is wrong, or with another flaw, and how much each pixel changed."""
    for _ in range(4):
        if not inner or rng.random() < 0.25:
            bad, change = flawed(rng, good)
        else:
            bad = show(misassembled(rng, pieces, inner[rng.integers(len(inner))]))
            change = difference(good, bad)
        if change.max() > LEAST_CHANGE:
            break
    return bad, change


def surface(rng, side):
    """Pieces of one kind of surface."""
    kind = Surface(rng, side)
    return spoilt(rng, [to_image(255 * kind.view(rng)) for _ in range(GOOD + FLAWED)])


def lying(rng, view, side, loose):
    """The middle of a view, put down a little aside and turned."""
    return moved(view, side, rng.normal(0, loose, 2), rng.normal(0, loose / 2), 1)


def spoilt(rng, views):
    """The views, the last of them with a flaw, and how much each pixel of those changed."""
    made = [flawed(rng, view) for view in views[GOOD:]]
    return views[:GOOD] + [view for view, _ in made], [change for _, change in made]


def difference(clean, flawed):
    return np.asarray(ImageChops.difference(clean, flawed), np.float32).max(2) / 255


def window(rng, source, edge, side):
    left, top = rng.uniform(0, source.width - edge), rng.uniform(0, source.height - edge)
    return source.resize((side, side), Image.BILINEAR, (left, top, left + edge, top + edge))


def moved(view, side, shift, degrees, scale):
    """The middle `side` pixels of a view, shifted, turned and scaled."""
    centre = view.width / 2
    cos, sin = np.cos(np.radians(degrees)) / scale, np.sin(np.radians(degrees)) / scale
    x, y = centre + shift[0], centre + shift[1]
    half = side / 2
    matrix = (cos, -sin, x - cos * half + sin * half, sin, cos, y - sin * half - cos * half)
    return view.transform((side, side), Image.AFFINE, matrix, Image.BILINEAR)


def exposed(rng, crop):
    """The small differences from shot to shot: gain, offset, light from a side."""
    side = len(crop)
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    slope = rng.normal(0, 0.015, 2)
    light = 1 + rng.normal(0, 0.015) + slope[0] * ramp[:, None] + slope[1] * ramp
    return crop * light[..., None].astype(np.float32) + np.float32(rng.normal(0, 0.008))


def flawed(rng, view):
    """The view with a flaw, and how much each pixel changed."""
    for _ in range(4):
        flaw = FLAWS[rng.integers(len(FLAWS))]
        bad = flaw(rng, view)
        change = difference(view, bad)
        if change.max() > LEAST_CHANGE:
            break
    return bad, change


def spot(rng, side, smallest=2.0, largest=16.0):
    """A mask of a place, round, long or ragged, hard or soft, as L."""
    radius = smallest * (largest / smallest) ** rng.random()
    flat = rng.uniform(0.25, 1)
    centre = rng.uniform(0.12 * side, 0.88 * side, 2)
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ragged = 1 + rng.uniform(0, 0.35) * ndimage.gaussian_filter1d(rng.normal(size=24), 1.5, mode="wrap")
    ring = np.stack([np.cos(turns), np.sin(turns) * flat], 1) * radius * ragged[:, None]
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).polygon([tuple(p) for p in ring @ turn + centre], fill=255)
    return mask.filter(ImageFilter.GaussianBlur(rng.uniform(0, radius / 2) if rng.random() < 0.6 else 0.5))


def contrast(rng):
    """How far a flaw's tone is from what it lies on: faint as often as plain."""
    return np.exp(rng.uniform(np.log(0.05), np.log(0.7))) * rng.choice([-1, 1])


def tone(rng, view, mask):
    """A colour at some contrast from the mean under the mask."""
    under = np.asarray(view, np.float32)
    weight = np.asarray(mask, np.float32)[..., None]
    mean = (under * weight).sum((0, 1)) / (weight.sum() + 1)
    away = contrast(rng)
    away = -away if not 0 <= mean.mean() / 255 + away <= 1 else away
    tint = rng.normal(0, 0.1 * abs(away) if rng.random() < 0.7 else 0.5 * abs(away), 3)
    return tuple(int(v) for v in np.clip(mean + 255 * (away + tint), 0, 255))


def grain(view):
    """The direction along which the view changes least."""
    down, across = np.gradient(ndimage.gaussian_filter(np.asarray(view.convert("L"), np.float32), 1))
    return 0.5 * np.arctan2(2 * (across * down).mean(), (across**2 - down**2).mean()) + np.pi / 2


def line(rng, view):
    """A hair, a crack: a line of one tone."""
    mask = stroke(rng, view)
    return Image.composite(Image.new("RGB", view.size, tone(rng, view, mask)), view, mask)


def scored(rng, view):
    """A scratch: darker or lighter than what it runs over, and gone at its ends."""
    mask = np.asarray(stroke(rng, view), np.float32)[..., None] / 255
    ends = np.asarray(spot(rng, view.width, 12, 40).filter(ImageFilter.GaussianBlur(5)), np.float32)[..., None] / 255
    reach = mask * ends if (mask * ends).max() > 0.3 else mask
    return to_image(np.asarray(view, np.float32) * (1 + contrast(rng) * reach))


def stroke(rng, view):
    """The mask of a fine line, straight, bent or wavering, as L."""
    side = view.width
    mask = Image.new("L", (4 * side, 4 * side))
    steps = int(rng.integers(3, 12))
    along = grain(view) if rng.random() < 0.3 else rng.uniform(0, 2 * np.pi)
    turns = along + np.cumsum(rng.normal(0, rng.choice([0.05, 0.3, 0.6]), steps))
    length = np.exp(rng.uniform(np.log(6), np.log(60))) * 4 / steps
    path = np.cumsum(np.stack([np.cos(turns), np.sin(turns)], 1) * length, 0)
    path = path - path.mean(0) + rng.uniform(0.15, 0.85, 2) * 4 * side
    ImageDraw.Draw(mask).line([tuple(p) for p in path], 255, int(rng.integers(3, 11)), joint="curve")
    return mask.resize((side, side), Image.BOX)


def stain(rng, view):
    """A dot, a chip, a stain: something of another tone over the surface, which may shine through."""
    mask = spot(rng, view.width)
    cover = rng.uniform(0.3, 1)
    mask = mask.point(lambda v: v * cover)
    return Image.composite(Image.new("RGB", view.size, tone(rng, view, mask)), view, mask)


def shade(rng, view):
    """Darker or lighter in a place, the texture kept."""
    mask = np.asarray(spot(rng, view.width, 3, 20), np.float32)[..., None] / 255
    gain = 1 + contrast(rng) * mask
    return to_image(np.asarray(view, np.float32) * gain)


def dried(rng, view):
    """What a drop left: a faint veil, its rim plainer."""
    mask = np.asarray(spot(rng, view.width, 3, 16), np.float32)[..., None] / 255
    width = int(rng.choice([3, 5]))
    rim = mask - ndimage.minimum_filter(mask, (width, width, 1))
    tint = 1 + rng.normal(0, 0.1, 3)
    gain = contrast(rng) * tint * (0.5 * rng.random() * mask + rim)
    return to_image(np.asarray(view, np.float32) * (1 + gain))


def dent(rng, view):
    """Drawn together or apart around a place, and lit from a side there."""
    side = view.width
    y, x = np.mgrid[:side, :side].astype(np.float32)
    cx, cy = rng.uniform(0.15, 0.85, 2) * side
    radius = np.exp(rng.uniform(np.log(3), np.log(14)))
    dx, dy = (x - cx) / radius, (y - cy) / radius
    bump = np.exp(-(dx**2 + dy**2))
    pull = rng.normal(0, 0.6)
    shift = rng.normal(0, 0.35, 2) * radius
    places = [y + dy * pull * bump * radius + shift[0] * bump, x + dx * pull * bump * radius + shift[1] * bump]
    pixels = np.asarray(view, np.float32)
    warped = np.stack([ndimage.map_coordinates(pixels[..., c], places, order=1, mode="nearest") for c in range(3)], -1)
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + (dx * np.cos(angle) + dy * np.sin(angle)) * bump * contrast(rng) * rng.choice([0, 0.5, 1.5])
    return to_image(warped * light[..., None])


def displaced(rng, view):
    """A piece of the view moved by a few pixels, turned or mirrored: bent, out of step, misplaced."""
    mask = spot(rng, view.width, 4, 20)
    if rng.random() < 0.6:
        other = ImageChops.offset(view, *(int(v) for v in rng.normal(0, 5, 2)))
    else:
        other = view.transpose(Image.Transpose(int(rng.integers(7))))
    return Image.composite(other, view, mask)


def missing(rng, view):
    """What was there is gone: only its surroundings' tone is left."""
    mask = spot(rng, view.width, 3, 16)
    smooth = view.filter(ImageFilter.GaussianBlur(rng.uniform(1.5, 8)))
    if rng.random() < 0.4:
        smooth = view.filter(ImageFilter.MedianFilter(int(rng.choice([5, 9]))))
    return Image.composite(smooth, view, mask)


def rough(rng, view):
    """The surface of a place roughened."""
    mask = np.asarray(spot(rng, view.width, 3, 18), np.float32)[..., None] / 255
    grain = ndimage.gaussian_filter(rng.normal(size=(view.width, view.width)), rng.uniform(0, 2))
    grain *= abs(contrast(rng)) * 127 / (grain.std() + 1e-6)
    return to_image(np.asarray(view, np.float32) + mask * grain[..., None])


FLAWS = [line, line, scored, scored, stain, stain, dried, shade, dent, dent, displaced, displaced, missing, rough]


def to_image(pixels):
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
