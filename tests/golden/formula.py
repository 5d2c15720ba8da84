"""What the scripts of this folder share."""

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def formula(name, *shape):
    """24-bit fractions in [0, 1): splitmix64 seeded with the FNV-1a hash of the name. `mod.rs` has the twin."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    z = np.uint64(seed) + np.arange(1, np.prod(shape) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.float64) / 2**24).reshape(shape)


def weight(key, shape):
    """The tensor of a network's state dict under that key; float64, but a value of float32."""
    u = formula(key, *shape)
    if len(shape) == 4:
        bound = np.float32(np.sqrt(6 / np.prod(shape[1:])))
        value = (2 * u - 1).astype(np.float32) * bound
    elif key.endswith("running_var"):
        value = 0.5 + u
    elif key.endswith("weight"):
        value = 0.25 + 0.5 * u
    else:
        value = 0.2 * (u - 0.5)
    return value.astype(np.float32).astype(np.float64)


NAMES = {np.dtype(np.float32): "F32", np.dtype(np.int64): "I64", np.dtype(np.uint8): "U8"}


def save(name, tensors):
    """Writes NAME.safetensors beside this file; float64 becomes float32."""
    header, data = {}, b""
    for key, value in tensors.items():
        value = np.ascontiguousarray(value)
        value = value.astype(np.float32) if value.dtype == np.float64 else value
        end = len(data) + value.nbytes
        header[key] = {"dtype": NAMES[value.dtype], "shape": value.shape, "data_offsets": [len(data), end]}
        data += value.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (HERE / f"{name}.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)


def load(name):
    """The tensors of NAME.safetensors beside this file."""
    content = (HERE / f"{name}.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    types = {name: dtype for dtype, name in NAMES.items()}
    tensors = {}
    for key, entry in json.loads(content[8:8 + length]).items():
        if key != "__metadata__":
            start, end = entry["data_offsets"]
            values = np.frombuffer(content[8 + length:][start:end], types[entry["dtype"]])
            tensors[key] = values.reshape(entry["shape"])
    return tensors
