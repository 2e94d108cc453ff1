"""Devices and dtypes: one rule for networks, metrics, parsers and training."""

from __future__ import annotations

import os

import torch

from facemask_inpaint.errors import OptionError


def resolve_device(device: str | torch.device | None) -> torch.device:
    """Return the given device; by default CUDA when there, else the CPU.

    Raises:
        OptionError: there is no such device, or it cannot be used here.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError):
        raise OptionError(
            f"unknown device {device!r}; 'cpu', 'cuda', 'cuda:1' or 'mps' are some"
        ) from None
    try:
        torch.zeros(1, device=resolved).item()
    except (RuntimeError, AssertionError) as error:
        # PyTorch's backends differ in what they raise where the hardware is not there.
        reason = str(error).splitlines()[0].partition(". ")[0][:160]
        raise OptionError(
            f"device {str(device)!r} cannot be used here ({reason}); use 'cpu', or 'cuda' on a "
            "machine with a CUDA device and a PyTorch built for it"
        ) from error
    return resolved


def resolve_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """Return the floating-point dtype of a name.

    Raises:
        OptionError: it names no floating-point dtype.
    """
    resolved = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if resolved not in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
        raise OptionError(f"dtype must be a floating-point type such as 'bfloat16', got {dtype!r}")
    return resolved


def own_device(device: str | torch.device | None) -> torch.device:
    """Resolve a device, with a CUDA device of its own for each process of ``torchrun``.

    Raises:
        OptionError: there is no such device, or it cannot be used here.
    """
    return numbered(resolve_device(device))


def numbered(device: torch.device) -> torch.device:
    """Return the device with this process's local rank if it is CUDA without a number."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return device
