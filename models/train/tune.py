#!/usr/bin/env python3
"""Tunes trained backbones to what PatchCore does with them: rank parts with small flaws above good ones.

    python tune.py --teacher resnet18.safetensors --photographs photographs --work run --start .. --out ..

They still learn to agree with the teacher; groups of crops are added, each a small memory bank with good and flawed queries.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

from crops import drawn_pool
from groups import FLAWED, GOOD, Groups
from networks import export, teacher, unfold
from train import DISTANCE_SAMPLES, STUDENTS, Log, Targets, embedding, optimize, rate_at, resume, save

# Share of the run, crops beside the groups and groups of a step, their side.
PHASES = [(0.75, 6, 3, 96), (1.0, 0, 2, 136)]
# Distances are compared by their logarithm; pairs further in order than this hardly count.
SOFTNESS = 0.15
RANK_WEIGHT = 0.6


def nearest(queries, bank):
    """The logarithm of each query's squared distance `[n]` to its nearest row of the bank."""
    squares = queries.square().sum(1)[:, None] + bank.square().sum(1) - 2 * queries @ bank.T
    least = squares.min(1).values
    return torch.log(least.clamp(min=0) + 1e-3 * squares.detach().mean())


def highest(values, share):
    return values.topk(max(1, round(share * len(values)))).values.mean()


def rank_pairs(patches, changed):
    """How far the flaws' nearest distances lie below the good parts' `[pairs]`, of one group's patches
    `[GOOD + FLAWED, d, h, w]`. A good crop is judged by the other good ones."""
    rows = patches.permute(0, 2, 3, 1).flatten(1, 2)
    good = []
    for i in range(GOOD):
        bank = rows[[j for j in range(GOOD) if j != i]].flatten(0, 1)
        good.append(highest(nearest(rows[i], bank), 0.04))
    flaws = []
    cell = changed.shape[-1] // patches.shape[-1]
    for i in range(FLAWED):
        cells = F.max_pool2d(changed[i][None], cell).flatten()
        hit = cells >= 0.5 * cells.max()
        flaws.append(highest(nearest(rows[GOOD + i][hit], rows[:GOOD].flatten(0, 1)), 0.5))
    return (torch.stack(good)[:, None] - torch.stack(flaws)).flatten()


def rank_loss(patches, changed):
    """Of the groups' patches `[groups, GOOD + FLAWED, d, h, w]`: the loss, and the share of pairs in the wrong order. Pairs
    far out of order, whose flaws can hardly be seen, count by a logarithm."""
    pairs = torch.cat([rank_pairs(p, c) for p, c in zip(patches, changed)])
    return torch.log1p(F.softplus(pairs / SOFTNESS)).mean(), (pairs > 0).float().mean()


def fit_heads(student, batches, targets):
    """The projections of a narrow student by least squares, as they are not kept."""
    inputs, outputs = [[], [], []], [[], [], []]
    with torch.no_grad():
        for batch in batches:
            for store, maps in ((inputs, student.network(batch)), (outputs, targets(batch)[0])):
                for rows, m in zip(store, maps):
                    rows.append(m.permute(0, 2, 3, 1).flatten(0, 2))
    for head, x, y in zip(student.heads, inputs, outputs):
        if not isinstance(head, torch.nn.Conv2d):
            continue
        x, y = torch.cat(x).double(), torch.cat(y).double()
        x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
        gram = x.T @ x
        found = torch.linalg.solve(gram + 1e-4 * gram.diagonal().mean() * torch.eye(len(gram), dtype=x.dtype), x.T @ y)
        head.weight.data.copy_(found[:-1].T[..., None, None])
        head.bias.data.copy_(found[-1])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--photograph-share", type=float, default=0.5)
    parser.add_argument("--work", type=Path, default=Path("run"))
    parser.add_argument("--start", type=Path, required=True, help="folder of NAME.safetensors")
    parser.add_argument("--out", type=Path, default=Path("run"))
    parser.add_argument("--students", nargs="+", default=list(STUDENTS), choices=list(STUDENTS))
    parser.add_argument("--steps", type=int, default=10000)
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--rank", type=float, default=RANK_WEIGHT)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=2)
    return parser.parse_args()


def batch_of(crops, step, share):
    """Crops, of which the last are the groups', and where the flawed ones were changed."""
    plain, groups, side = next(rest for end, *rest in PHASES if share < end)
    grouped, changed = crops.groups(step, groups, side)
    batch = torch.from_numpy(grouped).flatten(0, 1)
    if plain:
        batch = torch.cat([torch.from_numpy(crops.batch(step, plain, side)), batch])
    return batch.to(memory_format=torch.channels_last), torch.from_numpy(changed)


class Batches(Dataset):
    """The batch of each step, for a process beside the training."""

    def __init__(self, crops, steps):
        self.crops, self.steps = crops, steps

    def __getitem__(self, step):
        return batch_of(self.crops, step, step / self.steps)


def grouped(patches, changed):
    return patches[-len(changed) * (GOOD + FLAWED) :].unflatten(0, (len(changed), GOOD + FLAWED))


def main():
    args = arguments()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    args.work.mkdir(parents=True, exist_ok=True)
    args.out.mkdir(parents=True, exist_ok=True)
    crops = Groups(drawn_pool(args.work, args.images, 1, 2), args.photographs, args.seed, args.photograph_share)
    fast = lambda module: module.to(memory_format=torch.channels_last)
    targets = Targets(fast(teacher(args.teacher)), crops)
    students = {name: fast(STUDENTS[name]()) for name in args.students}
    probes = [batch_of(crops, 10**9 + i, 0)[0] for i in range(12)]
    for name, student in students.items():
        unfold(student.network, args.start / f"{name}.safetensors", probes)
        fit_heads(student, probes, targets)
    optimizers = {
        name: torch.optim.AdamW(student.parameters(), args.rate, weight_decay=0.01)
        for name, student in students.items()
    }
    checkpoint = args.work / "tuned.pt"
    first = resume(checkpoint, args, students, optimizers)
    run(args, crops, targets, students, optimizers, checkpoint, first)
    for name, student in students.items():
        export(student.network, args.out / f"{name}.safetensors")


def run(args, crops, targets, students, optimizers, checkpoint, first):
    log = Log(args.work / "tuned.txt")
    batches = DataLoader(Batches(crops, args.steps), None, sampler=range(first, args.steps), num_workers=1)
    for step, (batch, changed) in enumerate(batches, first):
        answer = targets(batch)
        places = answer[1].shape[0] * answer[1].shape[2] * answer[1].shape[3]
        chosen = torch.randperm(places, generator=torch.Generator().manual_seed(step))[:DISTANCE_SAMPLES]
        found = {"teacher": rank_loss(grouped(answer[1], changed), changed)}
        for name, student in students.items():
            student.eval()
            raw, loss, errors = targets.loss(student, batch, answer, chosen)
            rank, wrong = rank_loss(grouped(embedding(raw), changed), changed)
            optimize(student, optimizers[name], loss + args.rank * rank, rate_at(step / args.steps, args.rate))
            found[name] = [*errors, rank, wrong]
        log.add(step + 1, found)
        if (step + 1) % 500 == 0 or step + 1 == args.steps:
            save(checkpoint, args, step + 1, students, optimizers)


if __name__ == "__main__":
    main()
