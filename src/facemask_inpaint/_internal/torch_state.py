"""The host program's settings of PyTorch: results do not depend on them, and they stay.

A program may compute in float64 by default, make tensors on another device, or call this library
within ``autocast``, ``no_grad`` or ``inference_mode``. What is done here about it concerns the
calling thread alone, for PyTorch's own switches count for all threads of a process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_MADE = {
    *(torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.eye),
    *(torch.linspace, torch.logspace, torch.empty_strided, torch.fft.fftfreq, torch.fft.rfftfreq),
    *(torch.hann_window, torch.hamming_window, torch.blackman_window, torch.bartlett_window),
    *(torch.kaiser_window, torch.normal),
}
"""What makes floats of the default type out of nothing."""

_KEEPS_TYPE = {torch.from_numpy, torch.asarray, Tensor.double}
"""What makes float64 because that was asked for."""

_READS_NUMBERS = {torch.tensor, torch.as_tensor, torch.full, torch.arange, torch.scalar_tensor}
"""What gives Python's numbers a type, which rounds them."""

_DRAWN = {torch.rand, torch.randn}
_DRAWN_INTO = {
    *(Tensor.uniform_, Tensor.normal_, Tensor.random_, Tensor.bernoulli_),
    *(nn.init.uniform_, nn.init.normal_, nn.init.kaiming_uniform_),  # these hide what they call
}


@contextmanager
def ordinary_torch() -> Iterator[None]:
    """Compute as a program does that has set nothing: float32, CPU, gradients, full precision.

    Serves as a decorator too.
    """
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda", "mps", "xpu"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        stack.enter_context(ordinary_defaults())
        yield


@contextmanager
def ordinary_defaults() -> Iterator[None]:
    """Make tensors of float32 on the CPU where code names neither, whatever the defaults are."""
    with ExitStack() as stack:
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if torch.get_default_dtype() != torch.float32:
            stack.enter_context(_Float32())
        yield


def has_ordinary_defaults() -> bool:
    """Whether :func:`ordinary_defaults` would change nothing."""
    return torch.get_default_dtype() == torch.float32 and torch.get_default_device().type == "cpu"


@contextmanager
def without_draws() -> Iterator[None]:
    """Build modules whose weights come from a file: what would be drawn is 0.

    The global generator stays as it is, also for threads that draw from it meanwhile.
    """
    with _Undrawn():
        yield


class Override:
    """A switch of the whole process, set while at least one thread needs it.

    The first thread to come sets it and the last one to leave puts it back, in whatever order
    they come and go.

    Args:
        get: reads the switch.
        put: sets it.
        value: what it shall be.
    """

    def __init__(self, get: Callable[[], Any], put: Callable[[Any], Any], value: Any) -> None:
        self._get, self._put, self._value = get, put, value
        self._lock = threading.Lock()
        self._users = 0
        self._before: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._before = self._get()
                self._put(self._value)
            self._users += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._put(self._before)


class _Float32(TorchFunctionMode):
    """Gives new floats the type that they have in a program that has set no other."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func in _MADE and given.get("dtype") is None and given.get("out") is None:
            given["dtype"] = torch.float32
        found = func(*args, **given)
        if func in _KEEPS_TYPE or not isinstance(found, Tensor):
            return found
        if found.dtype != torch.get_default_dtype() or not found.is_floating_point():
            return found
        told = any(_decides_type(value) for value in _flat((*args, *given.values())))
        if told:
            return found
        if func in _READS_NUMBERS:
            return func(*args, **{**given, "dtype": torch.float32})
        return found.to(torch.float32)


class _Undrawn(TorchFunctionMode):
    """Answers every draw from the global generator with zeros."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if given.get("generator") is None:
            if func in _DRAWN_INTO:
                with torch.no_grad():
                    return (args[0] if args else given["tensor"]).zero_()
            if func in _DRAWN:
                given.pop("generator", None)
                return torch.zeros(*args, **given)
        return func(*args, **given)


def _flat(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from value
        else:
            yield value


def _decides_type(value: Any) -> bool:
    """Whether an argument settles the type of an answer, so that the default has no say."""
    if isinstance(value, Tensor):
        return value.is_floating_point() or value.is_complex()
    return isinstance(value, torch.dtype | np.ndarray | np.generic)
