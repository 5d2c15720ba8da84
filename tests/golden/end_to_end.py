#!/usr/bin/env python3
"""Makes end_to_end.safetensors: what anomalib 2.7.0 computes for photographs and a checkpoint that follow formulas.

    python3 -m venv /tmp/golden
    /tmp/golden/bin/pip install numpy
    /tmp/golden/bin/python tests/golden/end_to_end.py

The whole of PatchCore in NumPy and float64, written after the reference and apart from this library: resizing, cropping,
ResNet-18, patch embeddings, score, anomaly map, normalisation, labels and masks. Its resizing and its network are first
compared with what torchvision gave for make.py.
"""

import numpy as np
from formula import formula, load, save, weight

# The twins of these constants are in tests/reference/end_to_end.rs.
RESIZED, CROPPED = (72, 96), (64, 80)
HEIGHT, WIDTH = 150, 200
NEIGHBORS = 5
IMAGE_SENSITIVITY, PIXEL_SENSITIVITY = 0.5, 0.25
GOOD = [6, 7]
DEFECTIVE = [(6, 6), (7, 20), (8, 60)]


def photograph(number, defect):
    """A striped plate in colours; a square of the side `defect` is bright."""
    y, x, channel = np.mgrid[:HEIGHT, :WIDTH, :3]
    value = 60 + (x + number) // 3 % 8 * 9 + y * (number + 3) // 16 + channel * 10
    hit = (x >= 70) & (x < 70 + defect) & (y >= 50) & (y < 50 + defect)
    return np.where(hit, 250, value).astype(np.uint8)


def resize_axis(image, out, axis):
    """torch's antialiased bilinear interpolation along one axis."""
    size = image.shape[axis]
    scale = size / out
    support = max(scale, 1)
    matrix = np.zeros((out, size))
    for i in range(out):
        center = scale * (i + 0.5)
        low, high = max(int(center - support + 0.5), 0), min(int(center + support + 0.5), size)
        j = np.arange(low, high)
        weights = np.maximum(0, 1 - np.abs((j - center + 0.5) / support))
        matrix[i, low:high] = weights / weights.sum()
    return np.moveaxis(np.tensordot(matrix, image, (1, axis)), 0, axis)


def resize(pixels, size):
    """Height x width x RGB of 8 bits to [3, height, width] in [0, 1]."""
    image = pixels.transpose(2, 0, 1) / 255
    return resize_axis(resize_axis(image, size[1], 2), size[0], 1)


def preprocess(pixels):
    image = resize(pixels, RESIZED)
    top, left = [round((whole - part) / 2) for whole, part in zip(RESIZED, CROPPED)]
    image = image[:, top:top + CROPPED[0], left:left + CROPPED[1]]
    mean, std = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    return (image - mean) / std


def windows(image, kernel, stride, padding, fill):
    """[channels, height, width, kernel, kernel]"""
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)), constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (1, 2))[:, ::stride, ::stride]


def convolution(image, key, shape, stride, norm):
    """A convolution without bias and the batch norm behind it."""
    image = np.einsum("cyxij,ocij->oyx", windows(image, shape[2], stride, shape[2] // 2, 0), weight(key, shape), optimize=True)
    mean, var, gamma, beta = [weight(f"{norm}.{part}", shape[:1])[:, None, None]
                              for part in ["running_mean", "running_var", "weight", "bias"]]
    return (image - mean) / np.sqrt(var + 1e-5) * gamma + beta


def network(image):
    """Layers 2 and 3 of ResNet-18 with formula weights."""
    x = np.maximum(convolution(image, "conv1.weight", (64, 3, 7, 7), 2, "bn1"), 0)
    x = windows(x, 3, 2, 1, -np.inf).max((-2, -1))
    layers = []
    for stage, width in enumerate([64, 128, 256]):
        for block in range(2):
            name, channels = f"layer{stage + 1}.{block}", x.shape[0]
            stride = 2 if stage > 0 and block == 0 else 1
            y = convolution(x, f"{name}.conv1.weight", (width, channels, 3, 3), stride, f"{name}.bn1")
            y = convolution(np.maximum(y, 0), f"{name}.conv2.weight", (width, width, 3, 3), 1, f"{name}.bn2")
            if channels != width:
                x = convolution(x, f"{name}.downsample.0.weight", (width, channels, 1, 1), stride, f"{name}.downsample.1")
            x = np.maximum(x + y, 0)
        layers.append(x)
    return layers[1:]


def embedding(pixels):
    """[height * width, channels], of means over 3x3 positions."""
    first, second = [windows(layer, 3, 1, 1, 0).mean((-2, -1)) for layer in network(preprocess(pixels))]
    second = resize_axis(resize_axis(second, first.shape[2], 2), first.shape[1], 1)
    return np.concatenate([first, second]).reshape(len(first) + len(second), -1).T


def distances(a, b):
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))


def score(patches, bank):
    """The image score, and the distance of each patch."""
    to_bank = distances(patches, bank)
    nearest = to_bank.min(1)
    patch = nearest.argmax()
    around = np.argsort(distances(bank[to_bank[patch].argmin()][None], bank)[0], kind="stable")[:NEIGHBORS]
    d = to_bank[patch, around]
    softmax = np.exp(d - d.max()) / np.exp(d - d.max()).sum()
    return (1 - softmax[0]) * nearest[patch], nearest


def anomaly_map(nearest):
    grid = nearest.reshape(CROPPED[0] // 8, CROPPED[1] // 8)
    wide = np.pad(grid.repeat(8, 0).repeat(8, 1), 16, mode="reflect")
    taps = np.exp(-np.arange(-16, 17) ** 2 / (2 * 4.0**2))
    taps /= taps.sum()
    for axis in (0, 1):
        wide = np.apply_along_axis(np.convolve, axis, wide, taps, "valid")
    return wide


def check_against_torchvision():
    torchvision = load("preprocess")["64x48.32x32.antialias"]
    assert np.abs(resize(np.floor(256 * formula("image", 64, 48, 3)), (32, 32)) - torchvision).max() < 3e-6
    torchvision = load("networks")
    for h, w in [(32, 32), (33, 47)]:
        for layer, values in zip(["layer2", "layer3"], network(4 * formula("input", 3, h, w) - 2)):
            assert np.abs(values - torchvision[f"resnet18.{h}x{w}.{layer}"]).max() < 1e-5


def main():
    check_against_torchvision()
    # Every fourth patch of two good photographs, rounded as a checkpoint holds them.
    rows = np.concatenate([embedding(photograph(number, 0)) for number in [0, 1]])[::4]
    bank = rows.astype(np.float32).astype(np.float64)
    samples = [(number, 0) for number in GOOD] + DEFECTIVE
    raw, maps = [], []
    for number, defect in samples:
        value, nearest = score(embedding(photograph(number, defect)), bank)
        raw.append(value)
        maps.append(anomaly_map(nearest))
    raw, maps = np.array(raw), np.array(maps)
    print("scores", raw)
    print("highest of the maps", maps.max((1, 2)))
    # Between the good photographs and the larger defects; the range cuts the highest score off.
    image_threshold = np.float32((raw[1] + raw[3]) / 2)
    pixel_threshold = np.float32(maps[:2].max())
    image_min, image_max = np.float32(raw.min() - 1), np.float32(raw[3])
    pixel_min, pixel_max = np.float32(maps.min()), np.float32(maps[3].max())
    normalized = np.clip((raw - image_threshold) / (image_max - image_min) + 0.5, 0, 1)
    normalized_maps = np.clip((maps - pixel_threshold) / (pixel_max - pixel_min) + 0.5, 0, 1)
    print("normalised", normalized)
    masks = normalized_maps > 1 - PIXEL_SENSITIVITY
    print("pixels in the masks", masks.sum((1, 2)))
    save("end_to_end", {
        "bank": bank,
        "numbers": np.array([image_threshold, pixel_threshold, image_min, image_max, pixel_min, pixel_max]),
        "raw": raw,
        "normalized": normalized,
        "labels": (normalized > 1 - IMAGE_SENSITIVITY).astype(np.uint8),
        "mask_pixels": masks.sum((1, 2)).astype(np.int64),
        "map_max": normalized_maps.max((1, 2)),
        "maps": maps[[0, 3]],
    })


if __name__ == "__main__":
    main()
