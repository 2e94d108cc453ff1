"""Convolutions followed by a batch norm, in one pass where its statistics are frozen."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.compiler import is_exporting
from torch.func import functional_call

from facemask_inpaint.models.layers.float32 import upcast


def conv_norm(conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Return ``norm(conv(x))``.

    In inference mode the norm is a factor and an offset for each channel. They are put into the
    convolution's weight and bias for this call, which saves a pass over its output and leaves
    the stored weights as they are. That pays wherever the maps are larger than the weights. An
    exported or traced graph, whose sizes are not known yet, keeps the norm.
    """
    output: Tensor
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
    if norm.training or tracing or is_exporting() or conv.weight.numel() > x[0].numel():
        output = norm(conv(x))
        return output
    scale, shift = factors(norm)
    bias = shift if conv.bias is None else torch.addcmul(shift, conv.bias, scale)
    shape = (1, -1, 1, 1) if isinstance(conv, nn.ConvTranspose2d) else (-1, 1, 1, 1)
    folded = {"weight": upcast(conv.weight) * scale.reshape(shape), "bias": bias}
    rounded = {name: tensor.to(conv.weight.dtype) for name, tensor in folded.items()}
    output = functional_call(conv, rounded, (x,))
    return output


def factors(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return the factor and the offset, ``(C,)`` each, that a frozen batch norm amounts to.

    Both are float32 if the norm is of half precision.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = upcast(norm.weight) * torch.rsqrt(upcast(norm.running_var) + norm.eps)
    return scale, torch.addcmul(upcast(norm.bias), upcast(norm.running_mean), scale, value=-1)
