"""Which methods have seen which of a run's portraits in training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from facemask_inpaint.benchmark.protocols.records import Protocol
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.data import Faces


class Leak(NamedTuple):
    """What a method has seen of the portraits of a run.

    Attributes:
        method: name of the method.
        least: how many of them it was certainly trained on.
        most: how many of them it may have been trained on.
        total: how many there are.
    """

    method: str
    least: int
    most: int
    total: int

    @property
    def text(self) -> str:
        """``"4,820 of 6,000"`` or, where it is not known, ``"up to 6,000 of 6,000"``."""
        bound = "" if self.least == self.most else "up to "
        return f"{bound}{self.most:,} of {self.total:,}"


def seen_in_training(faces: Faces, protocol: Protocol | None) -> dict[str, int]:
    """Return by training split how many of these portraits were in it, where it is known.

    Args:
        faces: portraits of a run.
        protocol: its protocol, which may know more.
    """
    keys = {face.key for face in faces}
    seen = {split: len(keys & trained) for split, trained in faces.trained_on.items()}
    if protocol is not None and protocol.split.deviation(faces) is None:
        seen |= dict.fromkeys(protocol.split.held_out_from, 0)
    return seen


def leaks(run: Run) -> Iterator[Leak]:
    """Yield for each method what it has seen; nothing for a data set that no card speaks of.

    Args:
        run: a run.
    """
    total = len(run.keys)
    if run.seen:
        for method in run.methods:
            known = run.seen.get(method.training_split)
            yield Leak(method.name, known or 0, total if known is None else known, total)
