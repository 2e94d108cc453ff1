"""Several processes on one run: who does what, and waiting for one another."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch.distributed as dist

Item = TypeVar("Item")

_PATIENCE = timedelta(days=30)
"""How long a rank waits for the others; one of them may have all the slow pictures."""


@dataclass(frozen=True)
class World:
    """The processes of a run.

    Attributes:
        rank: this process.
        size: how many there are.
        group: of ``torch.distributed``; ``None`` when there is but one process.
    """

    rank: int = 0
    size: int = 1
    group: Any = None

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This rank's part of the items."""
        return items[self.rank :: self.size]

    def wait(self) -> None:
        """Go on when every rank has come here."""
        if self.group is not None:
            dist.barrier(group=self.group)


@contextmanager
def joined() -> Iterator[World]:
    """The processes that ``torchrun`` started, or that already form a group; else this one.

    Ranks only wait for one another here, over gloo, whatever backend the group has: results meet
    in the run's folder, which all of them must see.
    """
    own = not dist.is_initialized() and int(os.environ.get("WORLD_SIZE", 1)) > 1
    if own:
        dist.init_process_group("gloo", timeout=_PATIENCE)
    if not dist.is_initialized() or dist.get_world_size() == 1:
        yield World()
        return
    try:
        group = dist.new_group(backend="gloo", timeout=_PATIENCE)
        yield World(dist.get_rank(), dist.get_world_size(), group)
    finally:
        if own:
            dist.destroy_process_group()
