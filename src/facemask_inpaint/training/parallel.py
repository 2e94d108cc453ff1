"""Several processes that train one network, started by ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn


@contextmanager
def processes(device: torch.device) -> Iterator[None]:
    """Join the processes that ``torchrun`` started, and leave them at the end; else nothing."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process; 0 leads."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def average(tensors: Iterable[Tensor | None]) -> None:
    """Replace tensors by their means over all processes, in one exchange."""
    present = [tensor for tensor in tensors if tensor is not None]
    if world() == 1 or not present:
        return
    joined = torch.cat([tensor.reshape(-1) for tensor in present])
    dist.all_reduce(joined)
    joined /= world()
    for tensor, part in zip(present, joined.split([tensor.numel() for tensor in present])):
        tensor.copy_(part.view_as(tensor))


def average_gradients(network: nn.Module) -> None:
    """Give every process the gradient of the whole batch."""
    average(parameter.grad for parameter in network.parameters())


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process; all must ask."""
    if world() == 1:
        return flag
    votes = torch.tensor(float(flag), device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(votes)
    return bool(votes > 0)
