"""Parts put together of many small ones on a ground, drawn part by part, so that one can be left out or put in wrongly."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from drawn import SIZE, colour, spectrum_noise, texture
from surfaces import Surface

FINE = 4  # drawn this many times larger, so that a quarter of a pixel's shift shows


@dataclass
class Piece:
    """A small part: its outline around the middle, where it lies and how it looks."""

    ring: np.ndarray
    at: np.ndarray
    angle: float
    tone: np.ndarray
    top: float  # share of the outline that the raised face takes, 0 for none
    face: np.ndarray
    shadow: np.ndarray
    over: int  # pieces of a higher number lie on those of a lower one


def ring(rng):
    """An outline of unit radius: round, square, rounded or with corners of no order."""
    kind = rng.integers(4)
    turns = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    if kind == 0:
        return np.stack([np.cos(turns), np.sin(turns)], 1)
    if kind == 1:
        return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.9
    if kind == 2:
        outline = np.stack([np.cos(turns), np.sin(turns)], 1)
        return outline / np.abs(outline).max(1, keepdims=True) ** rng.uniform(0.5, 0.95)
    corners = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
    return np.stack([np.cos(corners), np.sin(corners)], 1)


def kind_of_piece(rng):
    """What all pieces of one kind share, as a function of where one lies."""
    size = np.exp(rng.uniform(np.log(1.5), np.log(12))) * np.array([1, rng.uniform(0.25, 1)])
    outline, tone, face = ring(rng) * size, colour(rng, 0.6), colour(rng, 0.6)
    top = rng.uniform(0.4, 0.9) * (rng.random() < 0.7)
    shadow = rng.normal(0, 1.2, 2) * (rng.random() < 0.6)
    over = int(rng.integers(3))
    return lambda at, angle: Piece(outline, np.asarray(at, float), angle, tone, top, face, shadow, over)


def rows(rng, side):
    """Pieces of one kind, or two kinds in turn, along a row, a grid or a ring."""
    kinds = [kind_of_piece(rng) for _ in range(rng.choice([1, 1, 2]))]
    reach = max(np.abs(kinds[0]((0, 0), 0).ring).max() * 2, 3)
    pitch = reach * rng.uniform(1.05, 2.2)
    start, turn = rng.uniform(0, 0.8 * side, 2), rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    lie = rng.choice([0, np.pi / 2]) + turn
    layout, count = rng.integers(4), int(rng.integers(3, 16))
    if layout < 2:
        places = [(start + i * pitch * along, lie) for i in range(count)]
    elif layout == 2:
        grid = [(i, j) for i in range(count) for j in range(rng.integers(2, 5))]
        places = [(start + i * pitch * along + j * pitch * across, lie) for i, j in grid]
    else:
        turns = np.linspace(0, 2 * np.pi, count, endpoint=False)
        radius = max(count * pitch / (2 * np.pi), reach)
        places = [(start + radius * np.array([np.cos(t), np.sin(t)]), t + lie) for t in turns]
    return [kinds[i % len(kinds)](at, angle) for i, (at, angle) in enumerate(places)]


def tracks(rng, side):
    """Thin lines beside each other, straight or with a bend: conductors, wires, seams, print."""
    width, tone = rng.uniform(0.8, 3), colour(rng, 0.6)
    pitch, start = width * rng.uniform(1.6, 4), rng.uniform(0, 0.8 * side, 2)
    turn = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    lengths = rng.uniform(10, 80) + rng.uniform(0, 12) * np.arange(8)
    pieces = []
    for i in range(int(rng.integers(1, 9))):
        box = np.array([[0, -width / 2], [lengths[i], -width / 2], [lengths[i], width / 2], [0, width / 2]])
        pieces.append(Piece(box, start + i * pitch * across, turn, tone, 0, tone, np.zeros(2), 0))
        if rng.random() < 0.5:
            end = start + i * pitch * across + lengths[i] * along
            pieces.append(Piece(box * [0.3, 1], end, turn + np.pi / 4, tone, 0, tone, np.zeros(2), 0))
    return pieces


def ground(rng, side):
    """What the pieces lie on, as a function of a part's random numbers: the same for each part, or of one kind."""
    if rng.random() < 0.5:
        return Surface(rng, side).view
    plain = colour(rng) + spectrum_noise(rng)[..., None] * rng.uniform(0, 0.04)
    left, top = rng.integers(0, SIZE - side + 1, 2)
    same = (plain if rng.random() < 0.6 else texture(rng))[top : top + side, left : left + side]
    return lambda rng: same


class Assembly:
    """A ground and its pieces, of `side` pixels."""

    def __init__(self, rng, side):
        self.side = side
        self.ground = ground(rng, side)
        self.pieces = []
        for _ in range(rng.integers(4, 13)):
            self.pieces += tracks(rng, side) if rng.random() < 0.35 else rows(rng, side)
        self.pieces.sort(key=lambda piece: piece.over)
        self.loose, self.shine = rng.uniform(0, 0.3), rng.uniform(0, 0.06)
        self.grain = rng.uniform(0, 0.03)

    def good(self, rng):
        """The pieces as one more part has them: each a little aside and a little brighter or darker."""
        changed = []
        for piece in self.pieces:
            light = np.exp(rng.normal(0, self.shine))
            at = piece.at + rng.normal(0, self.loose, 2)
            changed.append(replace(piece, at=at, tone=piece.tone * light, face=piece.face * light))
        return changed

    def picture(self, rng, pieces):
        grain = spectrum_noise(rng, 0.6, 1, self.side)[..., None] * self.grain
        below = Image.fromarray((np.clip(self.ground(rng) + grain, 0, 1) * 255).astype(np.uint8))
        large = below.resize((self.side * FINE, self.side * FINE), Image.NEAREST)
        pen = ImageDraw.Draw(large)
        for piece in pieces:
            draw(pen, piece)
        return large.resize(below.size, Image.BOX)

    def inner(self):
        """Indices of the pieces that lie well inside."""
        middle = [piece.at + turned(piece.ring, piece.angle).mean(0) for piece in self.pieces]
        return [i for i, at in enumerate(middle) if (at > 0.2 * self.side).all() and (at < 0.8 * self.side).all()]


def turned(points, angle):
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def draw(pen, piece):
    outline = turned(piece.ring, piece.angle)
    fill = lambda tone: tuple(int(v) for v in np.clip(tone, 0, 1) * 255)
    place = lambda points, at: [tuple(p) for p in (points + at) * FINE]
    if piece.shadow.any():
        pen.polygon(place(outline, piece.at + piece.shadow), fill=fill(piece.tone * 0.3))
    pen.polygon(place(outline, piece.at), fill=fill(piece.tone))
    if piece.top:
        pen.polygon(place(outline * piece.top, piece.at - 0.2 * piece.shadow), fill=fill(piece.face))


def misassembled(rng, pieces, index):
    """The pieces with that of `index` wrong."""
    wrong = MISTAKES[rng.integers(len(MISTAKES))](rng, pieces[index], pieces)
    return pieces[:index] + wrong + pieces[index + 1 :]


def missing(rng, piece, pieces):
    return []


def aside(rng, piece, pieces):
    away, extent = rng.uniform(0, 2 * np.pi), np.abs(piece.ring).max()
    step = np.array([np.cos(away), np.sin(away)]) * rng.uniform(1.2, max(0.7 * extent, 3))
    return [replace(piece, at=piece.at + step, angle=piece.angle + rng.normal(0, 0.15))]


def twisted(rng, piece, pieces):
    return [replace(piece, angle=piece.angle + rng.choice([-1, 1]) * rng.uniform(0.2, 1.5))]


def of_another_tone(rng, piece, pieces):
    gain = np.exp(rng.choice([-1, 1]) * rng.uniform(0.25, 1.2))
    return [replace(piece, tone=piece.tone * gain, face=piece.face * gain)]


def cut(rng, piece, pieces):
    """In two, with a gap between them."""
    low, high = sorted(rng.uniform(0.15, 0.85, 2))
    left, length = piece.ring[:, 0].min(), np.ptp(piece.ring[:, 0])
    low, high = left + length * low, left + length * max(high, low + 0.1)
    return [replace(piece, ring=np.clip(piece.ring, [-99, -99], [low, 99])),
            replace(piece, ring=np.clip(piece.ring, [high, -99], [99, 99]))]


def joined(rng, piece, pieces):
    """Grown together with the next one."""
    others = (other for other in pieces if other is not piece)
    next_one = min(others, key=lambda other: np.hypot(*(other.at - piece.at)), default=piece)
    apart = next_one.at - piece.at
    size = np.minimum([np.hypot(*apart) * 0.5 + 1, rng.uniform(0.8, 3)], 12)
    between = (piece.at + next_one.at) / 2 + rng.normal(0, 0.5, 2)
    bridge = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * size
    angle = np.arctan2(apart[1], apart[0])
    return [piece, replace(piece, ring=bridge, at=between, angle=angle, top=0, shadow=np.zeros(2))]


MISTAKES = [missing, missing, missing, aside, twisted, of_another_tone, cut, joined]
