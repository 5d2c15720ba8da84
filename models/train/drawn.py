"""Drawn images to learn from: textures, parts, print and thin structures, none of them a photograph.

`draw(rng)` gives one RGB image of SIZE x SIZE as uint8.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage

SIZE = 256


def colour(rng, spread=1.0):
    """A colour, often nearly grey, as factory parts are."""
    grey = rng.uniform(0.05, 0.95)
    tint = rng.normal(0, rng.choice([0.02, 0.25]) * spread, 3)
    return np.clip(grey + tint, 0, 1)


def spectrum_noise(rng, slope=None, stretch=None, size=SIZE):
    """Gaussian noise of spectrum 1/f^slope, stretched along a direction; mean 0, deviation 1."""
    slope = rng.uniform(0.4, 2.6) if slope is None else slope
    stretch = np.exp(rng.uniform(0, 3)) * (rng.random() < 0.4) + 1 if stretch is None else stretch
    fy, fx = np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij")
    angle = rng.uniform(0, np.pi)
    along, across = fx * np.cos(angle) + fy * np.sin(angle), fy * np.cos(angle) - fx * np.sin(angle)
    radius = np.sqrt((along * stretch) ** 2 + across**2) + 1 / size
    waves = np.fft.rfft2(rng.normal(size=(size, size))) / radius**slope
    waves[0, 0] = 0
    noise = np.fft.irfft2(waves, s=(size, size))
    return noise / (noise.std() + 1e-9)


def tinted(rng, height):
    """A height field as a picture: between two or three colours."""
    low, high = colour(rng), colour(rng)
    share = np.clip(0.5 + height * rng.uniform(0.1, 0.35), 0, 1)[..., None]
    return low * (1 - share) + high * share


def lit(rng, height, depth):
    """A relief under light from one side."""
    dy, dx = np.gradient(height * depth)
    angle, lift = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.5)
    normal = np.sqrt(dx**2 + dy**2 + 1)
    light = (dx * np.cos(angle) + dy * np.sin(angle) + lift) / normal / np.hypot(1, lift)
    shine = np.clip(light, 0, 1) ** rng.uniform(5, 40) * rng.uniform(0, 0.6)
    return np.clip(light, 0, 1)[..., None] * colour(rng) + shine[..., None]


def cloud(rng):
    if rng.random() < 0.5:
        return tinted(rng, spectrum_noise(rng))
    mix = rng.normal(size=(3, 3)) * 0.15
    noises = np.stack([spectrum_noise(rng) for _ in range(3)], -1)
    return colour(rng) + noises @ mix


def brushed(rng):
    grain = spectrum_noise(rng, rng.uniform(0.2, 0.9), np.exp(rng.uniform(2, 4)))
    shade = spectrum_noise(rng, 2.5, 1) * rng.uniform(0.02, 0.15)
    return colour(rng, 0.3) + (grain * rng.uniform(0.01, 0.08) + shade)[..., None]


def contours(rng):
    noise = spectrum_noise(rng, rng.uniform(1.2, 2.5))
    bands = np.sin(noise * rng.uniform(2, 25))
    return tinted(rng, bands / max(rng.uniform(0.02, 1), 0.02) if rng.random() < 0.4 else bands * 2)


def relief(rng):
    return lit(rng, spectrum_noise(rng, rng.uniform(0.8, 2.2)), rng.uniform(0.3, 6))


def cells(rng):
    """Pebbles, crystals, tiles of no order, or cracks between them."""
    count = int(np.exp(rng.uniform(3, 7)))
    points = rng.uniform(0, SIZE, (count, 2))
    seeds = np.zeros((SIZE, SIZE), np.int32)
    seeds[points[:, 0].astype(int), points[:, 1].astype(int)] = np.arange(count) + 1
    far, (iy, ix) = ndimage.distance_transform_edt(seeds == 0, return_indices=True)
    owner = seeds[iy, ix]
    edge = ndimage.distance_transform_edt(
        (np.roll(owner, 1, 0) == owner) & (np.roll(owner, 1, 1) == owner)
    )
    radius = np.sqrt(SIZE * SIZE / count)
    dome = np.sqrt(np.clip(edge / radius, 0, 1))
    rough = spectrum_noise(rng, rng.uniform(0.5, 1.5), 1) * rng.uniform(0, 0.1)
    tones = colour(rng) + rng.normal(0, 1, (count + 1, 3)) * [0.12] * rng.uniform(0.2, 1.5)
    kind = rng.integers(3)
    if kind == 0:
        return tones[owner] * lit(rng, dome * radius + rough * 4, rng.uniform(0.3, 1.5)) * 1.6
    if kind == 1:
        crack = np.clip(edge / rng.uniform(1, 4), 0, 1)[..., None]
        return tones[owner] * crack + colour(rng) * (1 - crack)
    return tinted(rng, far / radius * 3 - 1 + rough)


def sheet(rng, size=SIZE):
    """Coordinates of a sheet: turned, scaled, seen at a slant, a little wavy."""
    y, x = np.mgrid[:size, :size].astype(float) - size / 2
    angle = rng.uniform(0, np.pi)
    slant = rng.uniform(0, 0.0025) * (rng.random() < 0.5)
    depth = 1 + slant * (x * np.sin(angle) + y * np.cos(angle))
    u = (x * np.cos(angle) + y * np.sin(angle)) / depth
    v = (y * np.cos(angle) - x * np.sin(angle)) / depth
    if rng.random() < 0.4:
        wave = rng.uniform(0.5, 5)
        u, v = u + wave * spectrum_noise(rng, 2.5, 1, size), v + wave * spectrum_noise(rng, 2.5, 1, size)
    return u, v


def fabric(rng):
    u, v = sheet(rng)
    period = np.exp(rng.uniform(1.2, 3.3))
    u, v = u / period, v / (period * np.exp(rng.normal(0, 0.2)))
    float_length = rng.integers(1, 4)
    over = (np.floor(u) + float_length * np.floor(v)) % (float_length + 1) == 0
    warp, weft = np.abs(np.cos(np.pi * u)), np.abs(np.cos(np.pi * v))
    fibre = spectrum_noise(rng, 0.4, 8) * rng.uniform(0, 0.15)
    thread = np.where(over, warp, weft) ** rng.uniform(0.3, 1) + fibre
    colours = np.where(over[..., None], colour(rng), colour(rng))
    return colours * (0.3 + 0.7 * thread[..., None])


def lattice(rng):
    """Bricks, tiles, grids, perforated sheets and stripes."""
    u, v = sheet(rng)
    pitch = np.exp(rng.uniform(2, 4.2))
    aspect = rng.choice([1, 1, 2, 3])
    row = np.floor(v / pitch)
    shift = rng.choice([0, 0.5]) * (row % 2)
    a, b = (u / (pitch * aspect) + shift) % 1, (v / pitch) % 1
    column = np.floor(u / (pitch * aspect) + shift)
    kind = rng.integers(4)
    if kind == 0:
        gap = rng.uniform(0.02, 0.15)
        inside = np.minimum(np.minimum(a, 1 - a) * aspect, np.minimum(b, 1 - b)) * pitch
    elif kind == 1:
        gap = rng.uniform(0.1, 0.4)
        inside = (np.hypot((a - 0.5) * aspect, b - 0.5) - gap) * pitch
    elif kind == 2:
        gap = rng.uniform(0.05, 0.4)
        inside = (np.abs(b - 0.5) - gap) * pitch
    else:
        gap = rng.uniform(0.03, 0.1)
        inside = np.minimum(np.abs(a - 0.5), np.abs(b - 0.5)) * pitch
    share = np.clip((inside - gap * pitch * (kind in (0, 3))) / rng.uniform(0.7, 2) + 0.5, 0, 1)[..., None]
    tone = np.sin(row * 12.9 + column * 78.2) * 43758.5
    tone = ((tone - np.floor(tone)) - 0.5)[..., None] * rng.uniform(0, 0.25)
    surface = texture(rng) if rng.random() < 0.5 else colour(rng)
    return (surface + tone) * share + colour(rng) * (1 - share)


def julia(rng):
    y, x = np.mgrid[-1.4 : 1.4 : SIZE * 1j, -1.4 : 1.4 : SIZE * 1j] / np.exp(rng.uniform(0, 2.5))
    z = x + 1j * y + rng.normal(0, 0.4) + 1j * rng.normal(0, 0.4)
    c = 0.7885 * np.exp(1j * rng.uniform(0, 2 * np.pi))
    steps = np.zeros((SIZE, SIZE))
    for _ in range(24):
        inside = np.abs(z) < 2
        z = np.where(inside, z * z + c, z)
        steps += inside
    return tinted(rng, np.sin(steps * rng.uniform(0.2, 1)) * 2)


def canvas(picture):
    image = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))
    return image.resize((2 * SIZE, 2 * SIZE), Image.BILINEAR)


def paper(image):
    return np.asarray(image.resize((SIZE, SIZE), Image.BOX), np.float32) / 255


def ink(rng, spread=1.0):
    return tuple(int(c * 255) for c in colour(rng, spread))


def shape(rng, pen, centre, radius, fill):
    """An ellipse, a rectangle or a polygon."""
    turns = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
    kind = rng.integers(4)
    if kind == 0:
        turns = np.linspace(0, 2 * np.pi, 40)
    elif kind == 1:
        turns = np.array([0.8, 2.4, 3.9, 5.5])
    ring = np.stack([np.cos(turns), np.sin(turns) * rng.uniform(0.15, 1)], 1) * radius
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    pen.polygon([tuple(p) for p in ring @ turn + centre], fill=fill)


def leaves(rng):
    """Dead leaves: shapes over shapes, sizes by a power law."""
    image = canvas(np.broadcast_to(colour(rng), (SIZE, SIZE, 3)))
    pen = ImageDraw.Draw(image)
    for _ in range(int(np.exp(rng.uniform(3.5, 6.5)))):
        radius = min(4 / rng.random() ** 0.7, 200)
        shape(rng, pen, rng.uniform(0, 2 * SIZE, 2), radius, ink(rng))
    leaf = paper(image)
    return leaf + spectrum_noise(rng, 0.8)[..., None] * rng.uniform(0, 0.08)


def curve(rng, steps=40):
    turns = np.cumsum(rng.normal(0, rng.choice([0.01, 0.15, 0.6]), steps)) + rng.uniform(0, 2 * np.pi)
    length = np.exp(rng.uniform(0, 3))
    return np.cumsum(np.stack([np.cos(turns), np.sin(turns)], 1) * length, 0) + rng.uniform(0, 2 * SIZE, 2)


def threads(rng):
    """Scratches, hairs, wires, cracks on a ground."""
    image = canvas(texture(rng))
    pen = ImageDraw.Draw(image)
    tone = ink(rng)
    for _ in range(int(np.exp(rng.uniform(0, 4)))):
        tone = tone if rng.random() < 0.7 else ink(rng)
        pen.line([tuple(p) for p in curve(rng)], fill=tone, width=int(np.exp(rng.uniform(0, 2.3))))
    return paper(image)


def print_on(rng):
    """Letters, bar codes and rules on a ground."""
    image = canvas(texture(rng) if rng.random() < 0.3 else np.broadcast_to(colour(rng), (SIZE, SIZE, 3)))
    pen = ImageDraw.Draw(image)
    tone = ink(rng)
    y = rng.uniform(0, 40)
    while y < 2 * SIZE:
        height = int(np.exp(rng.uniform(2.6, 4.6)))
        if rng.random() < 0.8:
            letters = "".join(chr(c) for c in rng.integers(33, 126, 40))
            pen.text((rng.uniform(-40, 60), y), letters, fill=tone, font=ImageFont.load_default(height))
        else:
            edges = np.cumsum(rng.integers(1, 5, 120) * rng.uniform(1, 3)) + rng.uniform(-100, 200)
            for left, right in edges.reshape(-1, 2):
                pen.rectangle([left, y, right - 1, y + height], fill=tone)
        y += height * rng.uniform(1.1, 2)
    return paper(image.rotate(rng.uniform(-180, 180) * (rng.random() < 0.5), Image.BILINEAR))


def solid(rng, half):
    """A height over the ground: ball, cylinder, box, cone, ring or dish, of outline SIZE x SIZE."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    centre = rng.uniform(0, SIZE, 2) if half < 60 else SIZE / 2 + rng.normal(0, 25, 2)
    angle, flat = rng.uniform(0, np.pi), rng.uniform(0.3, 1)
    u = ((x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)) / half
    v = ((y - centre[1]) * np.cos(angle) - (x - centre[0]) * np.sin(angle)) / half / flat
    round_, square = np.hypot(u, v), np.maximum(np.abs(u), np.abs(v))
    bevel = rng.uniform(0.05, 0.4)
    kind = rng.integers(6)
    if kind == 0:
        inside, height = 1 - round_, np.sqrt(np.clip(1 - round_**2, 0, 1))
    elif kind == 1:
        inside, height = 1 - square, np.sqrt(np.clip(1 - v**2, 0, 1))
    elif kind == 2:
        inside, height = 1 - square, np.clip((1 - square) / bevel, 0, 1)
    elif kind == 3:
        inside, height = 1 - round_, np.clip((1 - round_) / bevel, 0, 1)
    elif kind == 4:
        hole = rng.uniform(0.2, 0.7)
        inside = np.minimum(1 - round_, round_ - hole)
        height = np.sqrt(np.clip(inside / (1 - hole) * 2, 0, 1))
    else:
        inside, height = 1 - round_, 0.5 + 0.5 * np.cos(round_ * rng.uniform(3, 30))
    return np.clip(inside * half / 1.5 + 0.5, 0, 1), height * half * rng.uniform(0.3, 1)


def parts(rng):
    """Lit solids with holes and highlights on a quiet ground, their shadows under them."""
    picture = texture(rng) if rng.random() < 0.3 else colour(rng) + np.zeros((SIZE, SIZE, 3))
    picture = picture + spectrum_noise(rng, 2.5, 1)[..., None] * rng.uniform(0, 0.05)
    few = rng.random() < 0.5
    for _ in range(rng.integers(1, 4) if few else rng.integers(5, 40)):
        cover, height = solid(rng, rng.uniform(30, 120) if few else rng.uniform(5, 30))
        shadow = ndimage.shift(ndimage.gaussian_filter(cover, rng.uniform(1, 6)), rng.normal(0, 4, 2))
        picture = picture * (1 - 0.6 * rng.random() * shadow[..., None])
        surface = lit(rng, height + spectrum_noise(rng) * rng.uniform(0, 0.4), 1)
        if rng.random() < 0.3:
            surface = surface * (0.6 + 0.8 * texture(rng))
        picture = picture * (1 - cover[..., None]) + surface * cover[..., None]
    return picture


TEXTURES = [cloud, cloud, brushed, contours, relief, cells, fabric]
ALL = [cloud, brushed, contours, relief, cells, cells, fabric, fabric, lattice, lattice, julia]
ALL += [leaves, leaves, leaves, threads, threads, print_on, print_on, parts, parts, parts, parts]


def texture(rng):
    return TEXTURES[rng.integers(len(TEXTURES))](rng)


def draw(rng):
    """One image: a family, or two of them parted by a mask; then lens and sensor."""
    picture = ALL[rng.integers(len(ALL))](rng)
    if rng.random() < 0.2:
        mask = np.clip(spectrum_noise(rng, 2.5) * rng.uniform(1, 30) + 0.5, 0, 1)[..., None]
        picture = picture * mask + ALL[rng.integers(len(ALL))](rng) * (1 - mask)
    picture = picture + np.zeros((SIZE, SIZE, 3))
    if rng.random() < 0.4:
        picture = picture * (1 + 0.25 * spectrum_noise(rng, 3, 1)[..., None] * rng.random())
    image = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))
    return np.asarray(image)
