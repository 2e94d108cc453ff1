"""Files that only grow: how the ranks of a run remember what they have finished."""

from __future__ import annotations

import glob
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar, cast

from facemask_inpaint._internal.files import naming
from facemask_inpaint.benchmark.store.records import CaseLine, read_lines

Line = TypeVar("Line", bound=Mapping[str, object])


class Journal:
    """JSON lines in ``<folder>/<name>-<rank>.jsonl``; every rank writes its own, and reads all.

    A line is handed to the operating system at once, so a killed process loses at most the line it
    was writing. Any number of threads may append.
    """

    def __init__(self, folder: Path, name: str, rank: int) -> None:
        self._folder = folder
        self._name = name
        self._path = folder / f"{name}-{rank}.jsonl"
        self._lock = threading.Lock()

    def append(self, content: Mapping[str, object]) -> None:
        """Add one line.

        Raises:
            OSError: the disk is full; what was written before stays readable.
        """
        # Plain ASCII, for file names that are no Unicode; they come back as they were.
        line = json.dumps(content, allow_nan=False)
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            with naming(self._path), self._path.open("ab") as file:
                # A kill may have cut the last line; what follows must not be glued to it.
                lead = b"\n" if file.tell() and not _ends_in_newline(self._path) else b""
                file.write(lead + line.encode() + b"\n")

    def read(self, line_type: type[Line]) -> Iterator[Line]:
        """Yield the whole lines of all ranks, in the order written.

        Args:
            line_type: a ``TypedDict``; lines that lack one of its required names are left out.
        """
        needed: frozenset[str] = line_type.__required_keys__  # type: ignore[attr-defined]
        for path in sorted(self._folder.glob(f"{glob.escape(self._name)}-*.jsonl")):
            yield from (cast("Line", line) for line in read_lines(path) if line.keys() >= needed)

    def clear(self) -> None:
        """Forget this rank's lines."""
        self._path.unlink(missing_ok=True)

    def clear_above(self, world_size: int) -> None:
        """Forget the lines of ranks that this run does not have."""
        for path in self._folder.glob(f"{glob.escape(self._name)}-*.jsonl"):
            if int(path.stem.rpartition("-")[2]) >= world_size:
                path.unlink(missing_ok=True)


def by_age(lines: Iterable[CaseLine]) -> list[CaseLine]:
    """Return lines of all ranks, oldest first."""
    return sorted(lines, key=lambda line: line.get("at", 0))


def _ends_in_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"
