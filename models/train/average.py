#!/usr/bin/env python3
"""Averages two backbones of one shape, of which one was trained on from the other: `SHARE` of the second.

    python average.py FIRST.safetensors SECOND.safetensors SHARE OUT.safetensors
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def main(first, second, share, out):
    first, second = load_file(first), load_file(second)
    mean = {name: (1 - share) * value.float() + share * second[name].float() for name, value in first.items()}
    save_file({name: value.to(torch.float16) for name, value in mean.items()}, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]))
