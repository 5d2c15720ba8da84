"""Judges backbones by PatchCore's ranking: one table of image AUROC / pixel AUROC over the held-out sets.

    python validate.py --program target/release/patchcore --scratch FOLDER \
        --backbone teacher=resnet18:FILE --backbone small=resnet18_narrow:FILE --backbone embedded=default

The drawn sets are made when missing. Rows are kept in FOLDER/results.json, so that only what is new is computed.
"""

import argparse
import hashlib
import json
import os
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

import sets

PSEUDO_RANDOM = {"random": "resnet18", "random-small": "resnet18_narrow"}
# Channels, the stem's kernel, blocks a layer.
SHAPES = {"resnet18": (64, 7, (2, 2, 2)), "resnet18_narrow": (32, 5, (1, 2, 2))}
CELLS = 150
CELLS_CORESET = 0.02  # of so many photographs a bank about as large as the other sets'


def main():
    arguments = parse()
    arguments.scratch.mkdir(parents=True, exist_ok=True)
    categories = collect(arguments)
    backbones = [backbone(text, arguments) for text in arguments.backbone]
    cache = Cache(arguments.scratch / "results.json")
    results = {}
    for name, flags, checksum in backbones:
        for category, (folder, version) in categories.items():
            if arguments.only and category not in arguments.only:
                continue
            coreset = arguments.coreset or (CELLS_CORESET if category == "elpv" else None)
            rows = []
            for seed in arguments.seeds:
                key = f"{checksum} {category} {version} {seed} {coreset}"
                rows.append(cache.get(key, measure, arguments, flags, coreset, folder, seed))
            results[category, name] = rows
    names = [name for name, _, _ in backbones]
    print(table(results, names), flush=True)
    if arguments.time:
        print(time_rows(timed(arguments, backbones, categories["flange"][0]), names))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="the patchcore program, a release build")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for sets, models and results")
    parser.add_argument(
        "--backbone",
        action="append",
        required=True,
        metavar="NAME=NET[:WEIGHTS]",
        help="a net and its weights, an embedded one (NAME=default), or NAME=random, NAME=random-small",
    )
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="folders of categories in MVTec's layout")
    parser.add_argument("--no-elpv", action="store_true", help="leave out the solar cells of the package elpv-dataset")
    parser.add_argument("--only", nargs="*", help="only these sets")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3], help="seeds of the coreset, averaged")
    parser.add_argument("--coreset", type=float, help="share of patches kept; the program's by default, of elpv 0.02")
    parser.add_argument("--time", action="store_true", help="also time a prediction with each backbone")
    parser.add_argument("--timer", default="", help="a command that runs another one undisturbed, for the timings")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def collect(arguments):
    """Name, folder and version of every category: ours, those of --data, elpv's."""
    ours = arguments.scratch / "sets"
    sets.make(ours)
    found = {name: (ours / name, version) for name, (_, _, version) in sets.SETS.items()}
    for root in arguments.data:
        for folder in sorted(root.iterdir()):
            if (folder / "train/good").is_dir():
                found[folder.name] = (folder, listing(folder))
    if not arguments.no_elpv:
        found["elpv"] = (elpv(arguments.scratch / "elpv"), 1)
    return found


def listing(folder):
    """A checksum of a folder's file names and sizes."""
    files = sorted((str(path.relative_to(folder)), path.stat().st_size) for path in folder.rglob("*.*"))
    return hashlib.sha256(repr(files).encode()).hexdigest()[:8]


def elpv(folder):
    """150 functional monocrystalline cells to train; 150 other ones and 150 defective ones to test."""
    if (folder / "done").exists():
        return folder
    from elpv_dataset.utils import load_dataset

    images, probabilities, types = load_dataset()
    rng = np.random.default_rng(0)
    mono = np.asarray(types) == "mono"
    good, bad = (rng.permutation(np.flatnonzero(mono & (probabilities == p))) for p in (0.0, 1.0))
    groups = {"train/good": good[:CELLS], "test/good": good[CELLS : 2 * CELLS], "test/defective": bad[:CELLS]}
    for group, chosen in groups.items():
        (folder / group).mkdir(parents=True, exist_ok=True)
        for i, at in enumerate(chosen):
            Image.fromarray(images[at]).convert("RGB").save(folder / group / f"{i:03}.png")
    (folder / "done").touch()
    return folder


def backbone(text, arguments):
    """Name, the program's flags, and a checksum of what they mean, of NAME=NET[:WEIGHTS]."""
    name, _, what = text.partition("=")
    if what in PSEUDO_RANDOM:
        what = f"{PSEUDO_RANDOM[what]}:{pseudo_random(PSEUDO_RANDOM[what], arguments.scratch)}"
    net, _, weights = what.partition(":")
    meant = f"{net} of {digest(arguments.program)}"
    if not weights:
        return name, ["--backbone", net], meant
    return name, ["--backbone", net, "--weights", weights], f"{meant} with {digest(weights)}"


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def pseudo_random(net, folder):
    """He-uniform weights without biases, in the folded form that the program reads."""
    rng = np.random.default_rng(0)
    tensors = {}
    for name, shape in convolutions(*SHAPES[net]).items():
        bound = (6 / np.prod(shape[1:])) ** 0.5
        tensors[f"{name}.weight"] = rng.uniform(-bound, bound, shape).astype(np.float32)
        tensors[f"{name}.bias"] = np.zeros(shape[0], np.float32)
    path = folder / f"pseudo_random_{net}.safetensors"
    save_file(tensors, path)
    return path


def convolutions(width, stem, depths):
    """Names and shapes as far as layer3."""
    shapes = {"conv1": (width, 3, stem, stem)}
    inner = width
    for layer, depth in enumerate(depths):
        outer = width << layer
        for block in range(depth):
            name = f"layer{layer + 1}.{block}"
            shapes[f"{name}.conv1"] = (outer, inner, 3, 3)
            shapes[f"{name}.conv2"] = (outer, outer, 3, 3)
            if inner != outer:
                shapes[f"{name}.downsample.0"] = (outer, inner, 1, 1)
            inner = outer
    return shapes


class Cache:
    """Results by key in a JSON file, written after each; other runs may add theirs."""

    def __init__(self, path):
        self.path = path
        self.rows = self.read()

    def read(self):
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    def get(self, key, compute, *arguments):
        if key not in self.rows:
            found = compute(*arguments)
            self.rows = self.read() | self.rows | {key: found}
            draft = self.path.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps(self.rows, indent=1))
            draft.replace(self.path)
        return self.rows[key]


def train(arguments, flags, coreset, folder, seed, model="model"):
    path = arguments.scratch / f"{model}.{os.getpid()}.pcore"
    share = [] if coreset is None else ["--coreset-ratio", coreset]
    options = ["--threads", arguments.threads, "--seed", seed, "--data", folder, "--out", path]
    run(arguments.program, "train", *options, *flags, *share)
    return path


def measure(arguments, flags, coreset, folder, seed):
    model = train(arguments, flags, coreset, folder, seed)
    options = ["--threads", arguments.threads, "--json"]
    found = json.loads(run(arguments.program, "evaluate", *options, "--model", model, "--data", folder))
    model.unlink()
    kinds = {}
    for image in found["images"]:
        kinds.setdefault(Path(image["path"]).parent.name, []).append(image["score"])
    good = kinds.pop("good")
    return {
        "image": found["image_auroc"],
        "pixel": found.get("pixel_auroc"),
        "kinds": {kind: auroc(good, scores) for kind, scores in sorted(kinds.items())},
    }


def auroc(good, bad):
    pairs = np.subtract.outer(np.array(bad), np.array(good))
    return float((pairs > 0).mean() + 0.5 * (pairs == 0).mean())


def timed(arguments, backbones, folder):
    """Fastest whole prediction and fastest network in ms of each backbone, on one set, in turns."""
    photograph = next((folder / "test/good").iterdir())
    models = {name: train(arguments, flags, arguments.coreset, folder, 1, name) for name, flags, _ in backbones}
    options = ["profile", "--threads", arguments.threads, "--runs", 20, "--json", "--photograph", photograph]
    rounds = {name: [] for name in models}
    for _ in range(3):
        for name, model in models.items():
            found = run(*arguments.timer.split(), arguments.program, *options, "--model", model)
            rounds[name].append(json.loads(found))
    for model in models.values():
        model.unlink()

    def fastest(name, part):
        return 1e3 * min(found[part]["min_s"] for found in rounds[name])

    return {name: {"whole": fastest(name, "total"), "network": fastest(name, "backbone")} for name in rounds}


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def table(results, names):
    """Markdown: mean image AUROC / pixel AUROC of each set and backbone, and the image AUROC of each kind of flaw."""
    lines = ["| set | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    categories = list(dict.fromkeys(category for category, _ in results))
    means = {c: {n: mean(r["image"] for r in results[c, n]) for n in names} for c in categories}
    for category in categories:
        cells = [cell(results[category, name]) for name in names]
        lines.append(f"| {category} | " + " | ".join(cells) + " |")
    # Of many real cells, on which all are nearly alike.
    overall = [mean(means[c][n] for c in categories if c != "elpv" or categories == ["elpv"]) for n in names]
    lines.append("| **mean but elpv** | " + " | ".join(f"**{value:.4f}**" for value in overall) + " |")
    lines.append(f"| share of {names[0]} | " + " | ".join(f"{value / overall[0]:.3f}" for value in overall) + " |")
    return "\n".join(lines)


def time_rows(times, names):
    rows = {"whole prediction, ms": "whole", "network alone, ms": "network"}
    cells = {title: " | ".join(f"{times[n][part]:.1f}" for n in names) for title, part in rows.items()}
    return "\n".join(f"| {title} | {text} |" for title, text in cells.items())


def cell(rows):
    text = f"{mean(r['image'] for r in rows):.3f}"
    if rows[0]["pixel"] is not None:
        text += f" / {mean(r['pixel'] for r in rows):.3f}"
    kinds = rows[0]["kinds"]
    if len(kinds) > 1:
        text += " (" + ", ".join(f"{k} {mean(r['kinds'][k] for r in rows):.2f}" for k in kinds) + ")"
    return text


def mean(values):
    return float(np.mean(list(values)))


if __name__ == "__main__":
    main()
