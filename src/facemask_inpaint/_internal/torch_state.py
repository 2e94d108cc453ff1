"""Independence of the global state of PyTorch that the calling program has set.

A program may compute in float64 by default, create tensors on another device, or call this library
within ``autocast``, ``no_grad`` or ``inference_mode``. Results do not depend on it, and it is left
as it is. Only the calling thread is affected, whereas PyTorch's own switches are global.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Value = TypeVar("Value")
_Options: TypeAlias = dict[str, Any]

_CREATE_FLOATS = {
    *(torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.eye),
    *(torch.linspace, torch.logspace, torch.empty_strided, torch.fft.fftfreq, torch.fft.rfftfreq),
    *(torch.hann_window, torch.hamming_window, torch.blackman_window, torch.bartlett_window),
    *(torch.kaiser_window, torch.normal),
}
"""Functions that create floats of the default dtype."""

_KEEP_DTYPE = {torch.from_numpy, torch.asarray, Tensor.double}
"""Functions that return float64 because that was asked for."""

_CONVERT_NUMBERS = {torch.tensor, torch.as_tensor, torch.full, torch.arange, torch.scalar_tensor}
"""Functions that convert Python's numbers to the default dtype, which rounds them."""

_DRAW = {torch.rand, torch.randn}
_DRAW_INTO = {
    *(Tensor.uniform_, Tensor.normal_, Tensor.random_, Tensor.bernoulli_),
    *(nn.init.uniform_, nn.init.normal_, nn.init.kaiming_uniform_),  # these hide what they call
}


@contextmanager
def ordinary_torch() -> Iterator[None]:
    """Compute as in a program that has changed nothing: float32, CPU, gradients, no autocast.

    Can be used as a decorator, too.
    """
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        for device_type in ("cpu", "cuda", "mps", "xpu"):
            if torch.is_autocast_enabled(device_type):
                stack.enter_context(torch.autocast(device_type, enabled=False))
        stack.enter_context(ordinary_defaults())
        yield


@contextmanager
def ordinary_defaults() -> Iterator[None]:
    """Create tensors as float32 on the CPU unless told otherwise, whatever the defaults are."""
    with ExitStack() as stack:
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if torch.get_default_dtype() != torch.float32:
            stack.enter_context(_Float32())
        yield


def has_ordinary_defaults() -> bool:
    """Tell whether :func:`ordinary_defaults` would change nothing."""
    return torch.get_default_dtype() == torch.float32 and torch.get_default_device().type == "cpu"


@contextmanager
def without_draws() -> Iterator[None]:
    """Build modules without random initialisation; weights that would be drawn are 0.

    The state of the global generator does not change, also for other threads that use it.
    """
    with _ZeroDraws():
        yield


class Override(Generic[Value]):
    """A global switch of the process, set while at least one thread needs it.

    The first thread to enter sets it and the last one to leave restores it, in whatever order
    threads enter and leave.

    Args:
        get: reads the switch.
        put: sets it.
        value: to set.
    """

    def __init__(self, get: Callable[[], Value], put: Callable[[Value], object], value: Value):
        self._get, self._put, self._value = get, put, value
        self._lock = threading.Lock()
        self._users = 0
        self._before = value

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


class _Mode(TorchFunctionMode):
    """A mode that answers calls of PyTorch's functions in their place."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return self._answer(func, args, dict(kwargs or {}))

    def _answer(self, func: Callable[..., Any], args: Sequence[Any], options: _Options) -> Any:
        raise NotImplementedError


class _Float32(_Mode):
    """Gives new floats the dtype that they have in a program that has set no other."""

    def _answer(self, func: Callable[..., Any], args: Sequence[Any], options: _Options) -> Any:
        if func in _CREATE_FLOATS and options.get("dtype") is None and options.get("out") is None:
            options["dtype"] = torch.float32
        result = func(*args, **options)
        if func in _KEEP_DTYPE or not isinstance(result, Tensor):
            return result
        if result.dtype != torch.get_default_dtype() or not result.is_floating_point():
            return result
        if any(_decides_dtype(value) for value in _flat((*args, *options.values()))):
            return result
        if func in _CONVERT_NUMBERS:
            return func(*args, **{**options, "dtype": torch.float32})
        return result.to(torch.float32)


class _ZeroDraws(_Mode):
    """Returns zeros for every draw from the global generator."""

    def _answer(self, func: Callable[..., Any], args: Sequence[Any], options: _Options) -> Any:
        if options.get("generator") is None:
            if func in _DRAW_INTO:
                with torch.no_grad():
                    return (args[0] if args else options["tensor"]).zero_()
            if func in _DRAW:
                options.pop("generator", None)
                return torch.zeros(*args, **options)
        return func(*args, **options)


def _flat(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from value
        else:
            yield value


def _decides_dtype(value: Any) -> bool:
    """Whether an argument determines the dtype of the result, instead of the default."""
    if isinstance(value, Tensor):
        return value.is_floating_point() or value.is_complex()
    return isinstance(value, torch.dtype | np.ndarray | np.generic)
