"""The log of a run: JSON lines, and TensorBoard where it is installed."""

from __future__ import annotations

import importlib.util
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from facemask_inpaint._internal.files import atomic_path, naming

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Sums: TypeAlias = dict[str, list[float]]
"""Sum and number of the values of each loss."""

LogLine: TypeAlias = "Mapping[str, float | LogLine]"
"""Numbers by name, in groups."""

EVERY = 10
"""Steps whose means make one line of the log."""


class TrainingLog:
    """Log of one run in ``log.jsonl``: a line per few steps, and one per validation.

    Args:
        folder: folder of the run.
        step: step that the run continues from; later lines, of a run that was killed, are dropped.
        sums: what :meth:`state_dict` returned.
    """

    def __init__(self, folder: Path, step: int = 0, sums: Sums | None = None) -> None:
        self.path = folder / "log.jsonl"
        self._sums: Sums = defaultdict(lambda: [0.0, 0.0])
        self._sums.update({name: list(pair) for name, pair in (sums or {}).items()})
        self._drop_after(step)
        self._board = _board(folder)

    def record(self, step: int, values: Mapping[str, float]) -> dict[str, float] | None:
        """Take the losses of a step; every few steps, write and return their means.

        Args:
            step: number of steps done, this one included.
            values: the losses.
        """
        for name, value in values.items():
            self._sums[name][0] += value
            self._sums[name][1] += 1
        if step % EVERY:
            return None
        means = {name: total / count for name, (total, count) in self._sums.items()}
        self._sums.clear()
        self.write(step, means)
        return means

    def write(self, step: int, values: LogLine) -> None:
        """Append a line with the number of the step, and add its numbers to TensorBoard."""
        with naming(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if self._board is not None:
            for name, value in _numbers(values):
                self._board.add_scalar(name, value, step)

    def state_dict(self) -> Sums:
        """Return the sums of the steps since the last line, for a checkpoint."""
        return {name: list(pair) for name, pair in self._sums.items()}

    def close(self) -> None:
        """Close the files of TensorBoard."""
        if self._board is not None:
            self._board.close()

    def _drop_after(self, step: int) -> None:
        if not self.path.exists():
            return
        text = self.path.read_text(encoding="utf-8", errors="replace")
        lines = text.splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and 0 <= _step(line) <= step]
        with atomic_path(self.path) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")


def _step(line: str) -> int:
    """Step of a line of the log; -1 if the line is damaged."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return -1


def _numbers(values: LogLine, prefix: str = "") -> list[tuple[str, float]]:
    numbers: list[tuple[str, float]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            numbers += _numbers(value, f"{prefix}{name}/")
        else:
            numbers.append((prefix + name, value))
    return numbers


def _board(folder: Path) -> SummaryWriter | None:
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"))
