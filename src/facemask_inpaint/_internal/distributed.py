"""Several processes on one piece of work, started by ``torchrun``: who does what, and waiting."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Item = TypeVar("Item")

_PATIENCE = timedelta(days=30)
"""How long a rank waits for the others; one of them may have all the slow images."""


@contextmanager
def process_group(backend: str = "gloo", timeout: timedelta | None = None) -> Iterator[None]:
    """Join the processes that ``torchrun`` started, and leave them at the end.

    Nothing happens in a process that is alone, or that belongs to a group already.

    Args:
        backend: of ``torch.distributed``.
        timeout: how long a collective operation may take; ``None`` for the backend's default.
    """
    if dist.is_initialized() or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    dist.init_process_group(backend, timeout=timeout)
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Return the number of this process; 0 leads."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return how many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


@dataclass(frozen=True)
class Ranks:
    """The processes of a run that share its work and meet in its folder.

    Attributes:
        rank: number of this process.
        world_size: how many there are.
        group: gloo group of ``torch.distributed``; ``None`` for a process that is alone.
    """

    rank: int = 0
    world_size: int = 1
    group: dist.ProcessGroup | None = None

    def shard(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return this rank's part of the items."""
        return items[self.rank :: self.world_size]

    def barrier(self) -> None:
        """Wait until every rank has come here."""
        if self.group is not None:
            dist.barrier(group=self.group)


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Yield the processes that ``torchrun`` started, or that already form a group, or this one.

    Ranks only wait for one another here, over gloo, whatever backend their group has.
    """
    with process_group(timeout=_PATIENCE):
        if world_size() == 1:
            yield Ranks()
        else:
            group = dist.new_group(backend="gloo", timeout=_PATIENCE)
            yield Ranks(rank(), world_size(), group)


def average(tensors: Iterable[Tensor | None]) -> None:
    """Replace tensors by their means over all processes, in one exchange."""
    present = [tensor for tensor in tensors if tensor is not None]
    if world_size() == 1 or not present:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in present])
    dist.all_reduce(flat)
    flat /= world_size()
    parts = flat.split_with_sizes([tensor.numel() for tensor in present])
    for tensor, part in zip(present, parts):
        tensor.copy_(part.view_as(tensor))


def average_gradients(network: nn.Module) -> None:
    """Give every process the gradient of the whole batch."""
    average(parameter.grad for parameter in network.parameters())


def any_process(flag: bool) -> bool:
    """Return whether the flag is set in any process; all of them must ask."""
    if world_size() == 1:
        return flag
    votes = torch.tensor(float(flag), device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(votes)
    return bool(votes > 0)
