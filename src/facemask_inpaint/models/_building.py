"""Building a network from options that somebody else wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch.overrides import TorchFunctionMode

from facemask_inpaint._internal.settings import Range, require_options
from facemask_inpaint.errors import FacemaskInpaintError, OptionError

Built = TypeVar("Built")

MAX_ELEMENTS = 2**31
"""More numbers than any network here has, or draws while it is built."""

MAX_TENSORS = 4_000
"""More tensors than any network here makes while it is built."""

MAX_OPTION = 1_000_000
"""Larger than any number that a network is built from."""

_FACTORIES = {
    *(torch.empty, torch.zeros, torch.ones, torch.full, torch.eye, torch.empty_strided),
    *(torch.rand, torch.randn, torch.randint, torch.randperm),
    *(torch.arange, torch.linspace, torch.logspace),
}
_NO_NETWORK = (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError, MemoryError)


def build(cls: Callable[..., Built], options: Mapping[str, object], what: str) -> Built:
    """Call a network's class with options, all of which are checked first.

    Args:
        cls: class of the network.
        options: its keyword arguments.
        what: its name, for messages.

    Raises:
        UnknownNameError: there is no such option; the message names the nearest.
        OptionError: no network can be built with them.
    """
    require_options(cls, options, what)
    for name, value in options.items():
        Range(-MAX_OPTION, MAX_OPTION).require(value, f"{what}: {name}")
    shown = f"{what} with options {str(dict(options))[:200]}"
    require_size(cls, options, MAX_ELEMENTS, MAX_TENSORS, f"{shown} is larger than any network")
    try:
        return cls(**options)
    except FacemaskInpaintError:
        raise
    except _NO_NETWORK as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise OptionError(f"{shown} cannot be built ({reason})") from error


def require_size(
    cls: Callable[..., object],
    options: Mapping[str, object],
    elements: int,
    tensors: int,
    message: str,
) -> None:
    """Refuse a network that would be larger than this, before any memory is taken for it.

    It is built once without its numbers, on torch's meta device.

    Args:
        cls: class of the network.
        options: its keyword arguments.
        elements: of all tensors that are made, together.
        tensors: how many are made.
        message: what it means that there are more.

    Raises:
        OptionError: with the message.
    """
    try:
        with _Rehearsal(elements, tensors, message):
            cls(**options)
    except FacemaskInpaintError:
        raise
    except _NO_NETWORK:
        return  # either it cannot be built, as will be seen, or not without its numbers


class _Rehearsal(TorchFunctionMode):
    """Makes tensors without memory, and counts them."""

    def __init__(self, elements: int, tensors: int, message: str) -> None:
        super().__init__()
        self.elements, self.tensors, self.message = elements, tensors, message

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _FACTORIES:
            return func(*args, **kwargs)
        without = ("device", "generator", "out", "pin_memory")
        plain = {name: value for name, value in kwargs.items() if name not in without}
        made = func(*args, **plain, device="meta")
        self.elements -= made.numel()
        self.tensors -= 1
        if self.elements < 0 or self.tensors < 0:
            raise OptionError(self.message)
        return made
