"""Made-up images of every type, and a hole."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

HEIGHT, WIDTH = 23, 31
SIZE = (HEIGHT, WIDTH)
NUMPY_DTYPES = ["uint8", ">u2", "uint16", "float16", "float32", "float64"]
TORCH_DTYPES = [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64]
MODES = ["1", "L", "LA", "RGB", "RGBA", "RGBX", "I;16", "I;16L", "I;16B", "I;16N", "I", "F"]
MODES += ["CMYK", "YCbCr", "LAB", "HSV"]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def block() -> Tensor:
    hole = torch.zeros(SIZE, dtype=torch.bool)
    hole[4:14, 6:31] = True
    return hole


def array_of(dtype: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    highest = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    return (np.random.default_rng(seed).random(shape) * highest).astype(dtype)


def pil_of(mode: str) -> Image.Image:
    if mode in ("I", "F"):
        samples = array_of("uint16" if mode == "I" else "float32", SIZE)
        return Image.fromarray(samples.astype("int32" if mode == "I" else "float32"))
    count = len(Image.new(mode, (WIDTH, HEIGHT)).tobytes())
    samples = np.random.default_rng(1).integers(0, 256, count, dtype=np.uint8)
    return Image.frombytes(mode, (WIDTH, HEIGHT), samples.tobytes())


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
