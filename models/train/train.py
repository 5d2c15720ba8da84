#!/usr/bin/env python3
"""Trains the embedded backbones: students that imitate an ImageNet ResNet-18's maps on images of our own.

    python train.py --teacher resnet18.safetensors --photographs photographs --work run --out ..

One thread, under two hours. Run again, it goes on where it stopped. The students are trained side by side, so that the
crops are made and the teacher is asked once.
"""

import argparse
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from crops import Crops, drawn_pool
from networks import ResNet, export, teacher

TEACHER_CHANNELS = (64, 128, 256)
# Share of the run, crops a step, their side: larger ones late, where borders are few as in real use.
PHASES = [(0.55, 24, 96), (0.85, 12, 136), (1.0, 4, 240)]
# From here on the batch norms keep their statistics, as they do in the product.
FREEZE_FROM = 0.85
DISTANCE_SAMPLES = 512
# Elsewhere it is emulated, and far slower than f32.
HAS_BF16 = "avx512_bf16" in Path("/proc/cpuinfo").read_text()


def autocast():
    return torch.autocast("cpu", torch.bfloat16, enabled=HAS_BF16)


class Student(nn.Module):
    """A network, and for a narrow one the projections to the teacher's channels, which are dropped at the end."""

    def __init__(self, width, depths, stem, rate):
        super().__init__()
        self.network = ResNet(width, depths, stem)
        self.rate = rate
        widths = [width << layer for layer in range(3)]
        same = widths == list(TEACHER_CHANNELS)
        self.heads = nn.ModuleList(
            nn.Identity() if same else nn.Conv2d(mine, theirs, 1) for mine, theirs in zip(widths, TEACHER_CHANNELS)
        )

    def forward(self, x):
        maps = self.network(x)
        return maps, [head(m) for head, m in zip(self.heads, maps)]


STUDENTS = {
    "default": lambda: Student(64, (2, 2, 2), 7, 2e-3),
    "small": lambda: Student(32, (1, 2, 2), 5, 3e-3),
}


def embedding(maps):
    """PatchCore's patches `[n, d, h, w]`: layer2 and layer3 averaged over 3x3, layer3 enlarged."""
    layer2, layer3 = (F.avg_pool2d(m.float(), 3, 1, 1) for m in maps[1:])
    return torch.cat([layer2, F.interpolate(layer3, layer2.shape[-2:], mode="bilinear")], 1)


def distances(patches, chosen):
    rows = patches.permute(0, 2, 3, 1).reshape(-1, patches.shape[1])[chosen]
    squares = rows.square().sum(1)
    return (squares[:, None] + squares - 2 * rows @ rows.T).clamp(min=0)


def distance_error(student, target, chosen, scale):
    """How far the ratios of the students' squared distances are from the teacher's: what PatchCore ranks by, and near
    neighbours weigh as much as far ones. Distances below a hundredth of the mean count as noise."""
    mine, theirs = distances(student, chosen), distances(target, chosen)
    floor = 0.01 * scale
    return (torch.log(mine + floor) - torch.log(theirs + floor)).square().mean()


class Targets:
    """The teacher's answers to a batch, and the variances that put the layers on one scale."""

    def __init__(self, network, crops):
        self.network = network
        sums = [[] for _ in range(4)]
        for step in range(8):
            maps, patches = self(torch.from_numpy(crops.batch(10**9 + step, 24, 96)))
            for values, x in zip(sums, [*maps, patches]):
                values.append(x.permute(1, 0, 2, 3).flatten(1))
        self.variances = [torch.cat(values, 1).var(1).mean().item() for values in sums]
        # The mean squared distance of two patches is twice their variance, summed over the dimensions.
        self.distance = 2 * self.variances[3] * (TEACHER_CHANNELS[1] + TEACHER_CHANNELS[2])

    @torch.no_grad()
    def __call__(self, batch):
        with autocast():
            maps = [m.float() for m in self.network(batch)]
        return maps, embedding(maps)

    def loss(self, student, batch, answer, chosen):
        maps, patches = answer
        with autocast():
            raw, projected = student(batch)
        errors = [F.mse_loss(mine.float(), m) / v for mine, m, v in zip(projected, maps, self.variances)]
        patch = F.mse_loss(embedding(projected), patches) / self.variances[3]
        distance = distance_error(embedding(raw), patches, chosen, self.distance)
        total = 0.5 * errors[0] + errors[1] + errors[2] + 2 * patch + 0.5 * distance
        return raw, total, [*errors, patch, distance]


def rate_at(share, highest):
    """Warm-up, then half a cosine down to nothing."""
    return highest * min(share / 0.02, 1) * 0.5 * (1 + math.cos(math.pi * share))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--photographs", type=Path, required=True, help="the folder that photographs.py filled")
    parser.add_argument("--photograph-share", type=float, default=0.5)
    parser.add_argument("--work", type=Path, default=Path("run"), help="drawn images, checkpoints and log")
    parser.add_argument("--out", type=Path, default=Path("run"), help="where NAME.safetensors go")
    parser.add_argument("--students", nargs="+", default=list(STUDENTS), choices=list(STUDENTS))
    parser.add_argument("--steps", type=int, default=14000)
    parser.add_argument("--rate", type=float, default=1.0, help="factor on the learning rates")
    parser.add_argument("--images", type=int, default=6000, help="drawn images")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


class Log:
    """Running means of each student's errors, a line every hundred steps."""

    def __init__(self, path):
        self.file, self.started, self.means = path.open("a"), time.time(), {}

    def add(self, step, found):
        for name, errors in found.items():
            now = torch.tensor([error.item() for error in errors])
            self.means[name] = now if name not in self.means else 0.98 * self.means[name] + 0.02 * now
        if step % 100 == 0:
            line = "  ".join(f"{name} " + " ".join(f"{v:.3f}" for v in mean) for name, mean in self.means.items())
            print(f"{step} {time.time() - self.started:.0f}s  {line}", file=self.file, flush=True)


def optimize(student, optimizer, loss, rate):
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(student.parameters(), 1.0)
    optimizer.step()


def settings(args):
    """What a run is made with, but for where it lies."""
    return {name: str(value) for name, value in vars(args).items() if name not in ("work", "out")}


def resume(path, args, students, optimizers):
    """The step to go on from."""
    if not path.exists():
        return 0
    state = torch.load(path)
    if state["settings"] != settings(args):
        raise SystemExit(f"{path} is of a run with {state['settings']}: remove it to begin anew")
    for name, student in students.items():
        student.load_state_dict(state["students"][name])
        optimizers[name].load_state_dict(state["optimizers"][name])
    return state["step"]


def save(path, args, step, students, optimizers):
    states = {name: student.state_dict() for name, student in students.items()}
    optimizer_states = {name: optimizer.state_dict() for name, optimizer in optimizers.items()}
    fresh = path.with_suffix(".new")
    state = {"settings": settings(args), "step": step, "students": states, "optimizers": optimizer_states}
    torch.save(state, fresh)
    fresh.rename(path)


def main():
    args = arguments()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    args.work.mkdir(parents=True, exist_ok=True)
    args.out.mkdir(parents=True, exist_ok=True)
    crops = Crops(drawn_pool(args.work, args.images, 1, 2), args.photographs, args.seed, args.photograph_share)
    fast = lambda module: module.to(memory_format=torch.channels_last)
    targets = Targets(fast(teacher(args.teacher)), crops)
    students = {name: fast(STUDENTS[name]()) for name in args.students}
    optimizers = {
        name: torch.optim.AdamW(student.parameters(), student.rate, weight_decay=0.01)
        for name, student in students.items()
    }
    checkpoint = args.work / "checkpoint.pt"
    first = resume(checkpoint, args, students, optimizers)
    run(args, crops, targets, students, optimizers, checkpoint, first)
    for name, student in students.items():
        export(student.network, args.out / f"{name}.safetensors")


def run(args, crops, targets, students, optimizers, checkpoint, first):
    log = Log(args.work / "log.txt")
    for step in range(first, args.steps):
        share = step / args.steps
        count, side = next((count, side) for end, count, side in PHASES if share < end)
        batch = torch.from_numpy(crops.batch(step, count, side)).to(memory_format=torch.channels_last)
        answer = targets(batch)
        places = answer[1].shape[0] * answer[1].shape[2] * answer[1].shape[3]
        chosen = torch.randperm(places, generator=torch.Generator().manual_seed(step))[:DISTANCE_SAMPLES]
        found = {}
        for name, student in students.items():
            student.train(share < FREEZE_FROM)
            _, loss, found[name] = targets.loss(student, batch, answer, chosen)
            optimize(student, optimizers[name], loss, rate_at(share, student.rate * args.rate))
        log.add(step + 1, found)
        if (step + 1) % 500 == 0 or step + 1 == args.steps:
            save(checkpoint, args, step + 1, students, optimizers)


if __name__ == "__main__":
    main()
