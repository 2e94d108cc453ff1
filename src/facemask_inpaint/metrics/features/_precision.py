"""The precision in which networks compute features."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from facemask_inpaint._internal.torch_state import Override
from facemask_inpaint.errors import OptionError

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def feature_dtype(name: str) -> torch.dtype:
    """Return the dtype of a name.

    Args:
        name: ``"float32"``, ``"float16"`` or ``"bfloat16"``.

    Raises:
        OptionError: another name.
    """
    if name not in _DTYPES:
        raise OptionError(f"dtype {name!r} is none of {', '.join(_DTYPES)}")
    return _DTYPES[name]


def exact_float32(device: torch.device) -> AbstractContextManager[None]:
    """Return a context without TF32, which moves features by a thousandth.

    Args:
        device: where features are computed.
    """
    return _WITHOUT_TF32 if device.type == "cuda" else nullcontext()


def _tf32_switches() -> tuple[tuple[Any, str], ...]:
    """Objects and their attributes that decide about TF32."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    # Since torch 2.9 the older switches raise in programs that have touched the newer ones.
    newer = getattr(cudnn, "conv", None)
    name = "fp32_precision" if newer else "allow_tf32"
    return (newer or cudnn, name), (matmul, name)


def _set_tf32(values: Sequence[Any]) -> None:
    for (switch, name), value in zip(_tf32_switches(), values):
        setattr(switch, name, value)


_WITHOUT_TF32 = Override(
    lambda: [getattr(switch, name) for switch, name in _tf32_switches()],
    _set_tf32,
    ["ieee" if hasattr(torch.backends.cudnn, "conv") else False] * 2,
)
