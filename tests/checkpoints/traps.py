"""Classes that leave a marker file when a loader uses them; they can be imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class New:
    def __new__(cls, marker: str) -> New:
        Path(marker).touch()
        return super().__new__(cls)


class State:
    def __setstate__(self, marker: str) -> None:
        Path(marker).touch()


class Items:
    def __setitem__(self, marker: str, value: Any) -> None:
        Path(marker).touch()

    def append(self, marker: str) -> None:
        Path(marker).touch()


def touch(marker: str) -> None:
    Path(marker).touch()
