"""Chances of a semantic mask that change from epoch to epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks._sampler_options import probability_of, whole_number

Schedule: TypeAlias = Callable[[int], float] | tuple[float, float, int]
"""Epoch to probability, or ``(start, end, epochs)`` of a :class:`LinearSchedule`."""


@dataclass(frozen=True)
class LinearSchedule:
    """Probability that moves linearly from ``start`` to ``end`` over ``epochs``, then stays.

    Epoch 0 has ``start``, epoch ``epochs - 1`` and all later ones have ``end``.

    Attributes:
        start: probability in the first epoch.
        end: probability in the last one.
        epochs: how many there are.

    Example:
        >>> from facemask_inpaint.masks import LinearSchedule
        >>> [LinearSchedule(0.0, 1.0, 3)(epoch) for epoch in range(4)]
        [0.0, 0.5, 1.0, 1.0]
    """

    start: float
    end: float
    epochs: int

    def __post_init__(self) -> None:
        """Refuse what is no probability or no number of epochs.

        Raises:
            OptionError: A value is out of its range.
        """
        for name in ("start", "end"):
            probability_of(getattr(self, name), f"{name} of a schedule")
        whole_number(self.epochs, "epochs of a schedule", 1)

    def __call__(self, epoch: int) -> float:
        """Return the probability in an epoch."""
        progress = min(epoch / (self.epochs - 1), 1.0) if self.epochs > 1 else 1.0
        return self.start + (self.end - self.start) * progress


def schedule_of(schedule: Schedule | None) -> Callable[[int], float] | None:
    """Return a schedule as a function of the epoch.

    Raises:
        OptionError: It is neither a function nor the three numbers of a :class:`LinearSchedule`.
    """
    if isinstance(schedule, tuple | list) and len(schedule) == 3:
        return LinearSchedule(*schedule)
    if schedule is None or callable(schedule):
        return schedule
    raise OptionError(f"a schedule is (start, end, epochs) or a function, not {schedule!r}")
