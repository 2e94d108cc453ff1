"""What a checkpoint's objects become: inert values, and the limits on how many.

Nothing here looks a name up or calls what a file names; a name stands for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from facemask_inpaint.errors import CheckpointError

MAX_OPERATIONS = 2_000_000
"""Pickle instructions that one file may use; published checkpoints need far fewer."""


@dataclass(frozen=True, slots=True)
class Global:
    """A name that a file mentions; it stands for itself and is never looked up."""

    module: str
    name: str

    @property
    def path(self) -> str:
        """Dotted path, for example ``collections.OrderedDict``."""
        return f"{self.module}.{self.name}"


class StandIn:
    """Base of the inert values that a pickle may give a state to."""

    __slots__ = ()

    def set_state(self, state: object) -> None:
        """Take the state that the pickle wants to give to the object."""
        raise NotImplementedError(f"{type(self).__name__} does not define set_state()")


@dataclass(slots=True, eq=False)
class Record(StandIn):
    """What stands where a file wanted an object: class name, arguments and state."""

    cls: Global
    args: tuple[Any, ...]
    state: Any = None

    def set_state(self, state: object) -> None:
        """Keep the state as data."""
        self.state = state


@dataclass(slots=True)
class Budget:
    """How much work and memory one file may still cause; shared by its nested streams."""

    file: str
    bytes: int
    operations: int = MAX_OPERATIONS

    def spend_bytes(self, count: int) -> None:
        """Take ``count`` bytes of copies; no honest file needs twice its own size of them."""
        self.bytes -= count
        if self.bytes < 0:
            raise CheckpointError(f"{self.file}: would expand to more data than the file holds")

    def spend_operation(self) -> None:
        """Take one pickle instruction."""
        self.operations -= 1
        if self.operations < 0:
            raise CheckpointError(
                f"{self.file}: more than {MAX_OPERATIONS} pickle instructions; no checkpoint of "
                "a known kind needs so many"
            )
