"""What is computed in float32 whatever the network's precision."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

_HALF = (torch.float16, torch.bfloat16)


def upcast(x: Tensor) -> Tensor:
    """Return ``x`` in float32 if it is of half precision, for sums that need the range."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class Float32Module(nn.Module):
    """A part that stays in float32 when its network goes to half precision.

    ``network.to(torch.bfloat16)`` leaves its parameters in float32, and autocast is off inside.
    Half-precision inputs are converted, and the output is converted back. Float64
    is let through. A subclass writes :meth:`forward_float32`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Compute :meth:`forward_float32` and return its output in the dtype of ``x``."""
        if x.dtype not in _HALF and not torch.is_autocast_enabled(x.device.type):
            return self.forward_float32(x)
        with torch.autocast(x.device.type, enabled=False):
            return self.forward_float32(x.float()).to(x.dtype)

    def forward_float32(self, x: Tensor) -> Tensor:
        """Return the output for ``x``, which is never of half precision."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward_float32()")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Float32Module:
        def keep_float32(tensor: Tensor) -> Tensor:
            return _unless_narrowed(tensor, fn(tensor))

        super()._apply(keep_float32, recurse)  # type: ignore[no-untyped-call]
        return self


def _unless_narrowed(before: Tensor, after: Tensor) -> Tensor:
    """``after``, or ``before`` on its device where the type would have become a half one."""
    return before.float().to(after.device) if after.dtype in _HALF else after
