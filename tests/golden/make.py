#!/usr/bin/env python3
"""Makes the reference outputs in this folder but end_to_end.safetensors, from formulas alone: no data, no weights.

    python3 -m venv /tmp/golden
    /tmp/golden/bin/pip install numpy scipy scikit-learn torch torchvision
    /tmp/golden/bin/python tests/golden/make.py

torchvision resizes and runs the networks, torch pools, interpolates and blurs, scikit-learn computes the areas under
curves, SciPy labels regions. What is left (scoring, coreset, thresholds, region overlap) is written out below after
anomalib 2.7.0. All but the resizing is computed in float64 and stored as float32.
"""

import numpy as np
import scipy.ndimage
import torch
import torch.nn.functional as F
import torchvision
from sklearn.metrics import precision_recall_curve, roc_auc_score
from torchvision.transforms import v2

from formula import HERE, formula, save, weight


def preprocess():
    """The image `SIZE` is floor(256 * formula("image")) as height x width x RGB, scaled to [0, 1] before resizing."""
    tensors = {}
    sizes = [((23, 37), (16, 16)), ((23, 37), (40, 50)), ((23, 37), (30, 20)), ((64, 48), (32, 32))]
    for (h, w), size in sizes:
        image = torch.from_numpy(np.floor(256 * formula("image", h, w, 3))).permute(2, 0, 1).float() / 255
        for kind, antialias in [("antialias", True), ("plain", False)]:
            resized = v2.functional.resize(image, list(size), antialias=antialias)
            tensors[f"{h}x{w}.{size[0]}x{size[1]}.{kind}"] = resized.numpy()
    # Resize to 40 x 50, centre crop of 33 x 33 (odd differences), normalise.
    transform = v2.Compose([
        v2.Resize((40, 50), antialias=True),
        v2.CenterCrop((33, 33)),
        v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])
    image = torch.from_numpy(np.floor(256 * formula("image", 23, 37, 3))).permute(2, 0, 1).float() / 255
    tensors["23x37.40x50.crop33"] = transform(image).numpy()
    save("preprocess", tensors)


def network(name):
    net = getattr(torchvision.models, name)(weights=None).double().eval()
    state = net.state_dict()
    for key, tensor in state.items():
        if key.endswith("num_batches_tracked"):
            continue
        state[key] = torch.from_numpy(weight(key, tuple(tensor.shape)))
    net.load_state_dict(state)
    return net


def networks():
    """The input is 4 * formula("input") - 2; layers are [channels, height, width]."""
    tensors = {}
    nets = [("resnet18", (32, 32)), ("resnet18", (33, 47)), ("resnet34", (32, 32)), ("resnet50", (32, 32)),
            ("wide_resnet50_2", (32, 33))]
    for name, (h, w) in nets:
        net = network(name)
        x = torch.from_numpy(4 * formula("input", 1, 3, h, w) - 2)
        with torch.no_grad():
            x = net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(x)))))
            layer2 = net.layer2(x)
            layer3 = net.layer3(layer2)
        tensors[f"{name}.{h}x{w}.layer2"] = layer2[0].numpy()
        tensors[f"{name}.{h}x{w}.layer3"] = layer3[0].numpy()
    save("networks", tensors)


def patches():
    """Maps are 2 * formula(name) - 1 as [channels, height, width]; embeddings are [height * width, channels]."""
    maps = {"map0": (8, 5, 7), "map1": (12, 3, 4), "map2": (5, 2, 2)}
    values = [torch.from_numpy(2 * formula(name, 1, *shape) - 1) for name, shape in maps.items()]
    pooled = [F.avg_pool2d(value, 3, 1, 1) for value in values]
    wide = pooled[:1] + [F.interpolate(p, size=pooled[0].shape[-2:], mode="bilinear") for p in pooled[1:]]
    rows = [w[0].flatten(1).T for w in wide]
    save("patches", {"two": torch.cat(rows[:2], 1).numpy(), "three": torch.cat(rows, 1).numpy(), "one": rows[0].numpy()})


def distances(a, b):
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))


def score():
    """The bank is formula("bank") [60, 16]; the queries are formula("queries") [2 * 48, 16], grids of 6 x 8. Bank rows
    20 and 21 are one another's copies."""
    bank = formula("bank", 60, 16)
    bank[21] = bank[20]
    queries = formula("queries", 96, 16)
    queries[50] = bank[21] + 0.01
    to_bank, in_bank = distances(queries, bank), distances(bank, bank)
    nearest = np.argsort(to_bank, axis=1, kind="stable")
    tensors = {
        "index": nearest[:, :9].astype(np.int64),
        "distance": np.take_along_axis(to_bank, nearest[:, :9], 1),
    }
    for neighbors in [1, 2, 9]:
        scores = []
        for image in range(2):
            patches = slice(48 * image, 48 * image + 48)
            patch = 48 * image + to_bank[patches].min(1).argmax()
            strongest = to_bank[patch].min()
            around = np.argsort(in_bank[nearest[patch, 0]], kind="stable")[:neighbors]
            d = to_bank[patch, around]
            weight = 1 - (np.exp(d - d.max()) / np.exp(d - d.max()).sum())[0] if neighbors > 1 else 1
            scores.append(weight * strongest)
        tensors[f"score{neighbors}"] = np.array(scores)
    grid = torch.from_numpy(to_bank.min(1).reshape(2, 1, 6, 8))
    taps = np.exp(-np.arange(-16, 17) ** 2 / (2 * 4.0**2))
    kernel = torch.from_numpy(np.outer(taps, taps) / taps.sum() ** 2)[None, None]
    for size in [(48, 64), (45, 50)]:
        # The index rule of float32 inputs, applied to float64 ones.
        index = [torch.from_numpy(np.minimum((np.arange(o, dtype=np.float32) * np.float32(i / o)).astype(int), i - 1))
                 for o, i in zip(size, (6, 8))]
        wide = grid[:, :, index[0]][:, :, :, index[1]]
        assert torch.equal(wide.float(), F.interpolate(grid.float(), size=size))
        tensors[f"map{size[0]}x{size[1]}"] = F.conv2d(F.pad(wide, [16] * 4, mode="reflect"), kernel)[:, 0].numpy()
    save("score", tensors)


def coreset():
    """Features are formula("features") [400, 12]; greedy k-center from row 7, without projection."""
    features = formula("features", 400, 12)
    order, nearest, gap = [7], np.full(400, np.inf), np.inf
    while len(order) < 80:
        nearest = np.minimum(nearest, np.sqrt(((features - features[order[-1]]) ** 2).sum(1)))
        nearest[order[-1]] = 0
        second, first = np.sort(nearest)[-2:]
        gap = min(gap, first - second)
        order.append(int(nearest.argmax()))
    print(f"coreset: smallest gap between first and second choice {gap:.2e}")
    assert gap > 1e-6, "too close for float32"
    save("coreset", {"order": np.array(order)})


def adaptive_threshold(scores, labels):
    """anomalib's `_F1AdaptiveThreshold`, in float32."""
    precision, recall, thresholds = (x.astype(np.float32) for x in precision_recall_curve(labels, scores))
    f1 = 2 * precision * recall / (precision + recall + np.float32(1e-10))
    return thresholds[f1[:-1].argmax()], f1.max()


def aupro(maps, masks, limit=0.3):
    """anomalib's `_AUPRO`: 8-connected regions, every distinct value a threshold, linear up to the limit."""
    regions = np.zeros(masks.shape, int)
    count = 0
    for image, mask in enumerate(masks):
        labels, found = scipy.ndimage.label(mask, np.ones((3, 3)))
        regions[image] = np.where(labels > 0, labels + count, 0)
        count += found
    curve = [(0.0, 0.0)]
    for threshold in np.unique(maps)[::-1]:
        above = maps >= threshold
        recall = np.mean([above[regions == r].mean() for r in range(1, count + 1)])
        curve.append((above[regions == 0].mean(), recall))
    x, y = np.array(curve).T
    inside = x <= limit
    return np.trapezoid(np.append(y[inside], np.interp(limit, x, y)), np.append(x[inside], limit)) / limit


def metrics():
    """Scores are formula(name) plus 0.4 for defective samples, in steps of 1/64 for `ties`; a sample is defective where
    formula(name.label) is below 0.4. Maps lie in the file."""
    tensors = {}
    for name, count, steps in [("fine", 150, 2**20), ("ties", 90, 64)]:
        labels = formula(f"{name}.label", count) < 0.4
        scores = np.floor((formula(name, count) + 0.4 * labels) * steps) / steps
        threshold, best = adaptive_threshold(scores, labels)
        for key, value in [("auroc", roc_auc_score(labels, scores)), ("f1_max", best), ("threshold", threshold)]:
            tensors[f"{name}.{key}"] = np.array([value], np.float64)
        tensors[f"{name}.score"], tensors[f"{name}.label"] = scores, labels.astype(np.uint8)
    masks = np.zeros((5, 24, 20), bool)
    for image, (y, x, h, w) in [(0, (2, 3, 5, 4)), (0, (7, 7, 2, 9)), (1, (0, 0, 3, 3)), (1, (20, 15, 4, 5)), (3, (10, 4, 1, 1)),
                                (3, (11, 5, 6, 2))]:
        masks[image, y:y + h, x:x + w] = True
    noise = scipy.ndimage.gaussian_filter(formula("maps", *masks.shape), (0, 1.5, 1.5))
    # Steps of 1/512 for ties.
    maps = np.floor((noise + 0.1 * scipy.ndimage.gaussian_filter(masks.astype(float), (0, 1, 1))) * 512) / 512
    tensors |= {"maps": maps, "masks": masks.astype(np.uint8)}
    tensors["pixel.auroc"] = np.array([roc_auc_score(masks.ravel(), maps.ravel())])
    tensors["pixel.aupro"] = np.array([aupro(maps, masks)])
    threshold, best = adaptive_threshold(maps.ravel(), masks.ravel())
    tensors["pixel.threshold"], tensors["pixel.f1_max"] = np.array([threshold]), np.array([best])
    save("metrics", tensors)


if __name__ == "__main__":
    for make in [preprocess, networks, patches, score, coreset, metrics]:
        make()
    print(sum(file.stat().st_size for file in HERE.glob("*.safetensors")), "bytes in all")
