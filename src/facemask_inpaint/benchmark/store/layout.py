"""The folder of a run: where everything lies, and reading it back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from facemask_inpaint.benchmark.store.records import (
    ClassEntry,
    Fault,
    ModelEntry,
    PictureRecord,
    Score,
    Timing,
    from_dict,
    read_records,
)
from facemask_inpaint.errors import OptionError

FORMAT = 1
"""Version of the folder's layout, kept in ``run.json``."""


_SETTINGS: Mapping[str, type | tuple[type, ...]] = {
    "seed": int,
    "dtype": str,
    "masker": dict,
    "metrics": list,
    "extractor": (str, type(None)),
    "parser": (str, type(None)),
}
"""What else ``run.json`` holds, and of which type."""


@dataclass(frozen=True)
class Layout:
    """Paths of a run's files; nothing is read or made here.

    Attributes:
        folder: the run's folder.
    """

    folder: Path

    @property
    def settings(self) -> Path:
        """Settings and provenance."""
        return self.folder / "run.json"

    @property
    def work(self) -> Path:
        """What a run needs to go on after a kill; nothing in it is a result."""
        return self.folder / "work"

    @property
    def tables(self) -> Path:
        """Folder of the tables."""
        return self.folder / "tables"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.folder / "report.html"

    @property
    def pictures(self) -> Path:
        """One :class:`~.records.PictureRecord` a line."""
        return self.folder / "pictures.jsonl"

    @property
    def scores(self) -> Path:
        """One :class:`~.records.Score` a line."""
        return self.folder / "scores.jsonl"

    @property
    def timings(self) -> Path:
        """One :class:`~.records.Timing` a line."""
        return self.folder / "timings.jsonl"

    @property
    def faults(self) -> Path:
        """One :class:`~.records.Fault` a line."""
        return self.folder / "faults.jsonl"

    @property
    def comparison(self) -> Path:
        """``Comparison.to_dict()`` of each side, by the side as text."""
        return self.folder / "comparison.json"

    def original(self, side: int, key: str) -> Path:
        """The portrait at that side."""
        return self.folder / "originals" / _part(side) / f"{_part(key)}.png"

    def mask(self, side: int, mask_class: str, key: str) -> Path:
        """The hole, 255 = hole; there is no file where the portrait lacks the component."""
        return self.folder / "masks" / _part(side) / _part(mask_class) / f"{_part(key)}.png"

    def filled(self, side: int, model: str, mask_class: str, key: str) -> Path:
        """The model's result; there is no file where it failed."""
        parts = (_part(side), _part(model), _part(mask_class), f"{_part(key)}.png")
        return self.folder.joinpath("filled", *parts)


@dataclass(frozen=True)
class Run:
    """A run on disk, finished or not. What is large is read when first asked for.

    Attributes:
        layout: where its files are.
        settings: content of ``run.json``.

    Example:
        >>> run = Run.open("runs/faces-256")  # doctest: +SKIP
        >>> [(score.model, score.value) for score in run.scores]  # doctest: +SKIP
    """

    layout: Layout
    settings: Mapping[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """Read a run's settings.

        Raises:
            OptionError: the folder holds no run, a damaged one, or one of another version of this
                library.
        """
        layout = Layout(Path(folder))
        try:
            settings = _read_settings(layout.settings)
        except FileNotFoundError:
            raise OptionError(
                f"{folder} holds no benchmark run (there is no run.json); "
                "facemask-inpaint benchmark --out FOLDER makes one"
            ) from None
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise OptionError(f"{layout.settings} is damaged: {str(error)[:200]}") from error
        found = settings.get("format") if isinstance(settings, dict) else None
        if found != FORMAT:
            raise OptionError(f"{layout.settings} is of format {found!r}; needed: {FORMAT}")
        return cls(layout, settings)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.layout.folder

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.settings["dataset"]["name"]

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Keys of the portraits, in order."""
        return tuple(self.settings["dataset"]["keys"])

    @cached_property
    def classes(self) -> tuple[ClassEntry, ...]:
        """Mask classes, in the order of the tables."""
        return tuple(from_dict(ClassEntry, entry) for entry in self.settings["classes"])

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides in pixels, ascending."""
        return tuple(self.settings["sides"])

    @cached_property
    def models(self) -> tuple[ModelEntry, ...]:
        """Models, in the order in which they joined the run."""
        return tuple(from_dict(ModelEntry, entry) for entry in self.settings["models"])

    @cached_property
    def pictures(self) -> tuple[PictureRecord, ...]:
        """Measures of every filled picture, by model, side, class and key."""
        return read_records(self.layout.pictures, PictureRecord)

    @cached_property
    def scores(self) -> tuple[Score, ...]:
        """Every score, by side, metric, model and class."""
        return read_records(self.layout.scores, Score)

    @cached_property
    def timings(self) -> tuple[Timing, ...]:
        """What each model costs, by model, side and device."""
        return read_records(self.layout.timings, Timing)

    @cached_property
    def faults(self) -> tuple[Fault, ...]:
        """What failed."""
        return read_records(self.layout.faults, Fault)

    @cached_property
    def comparison(self) -> Mapping[int, Mapping[str, Any]]:
        """By side what ``metrics.compare`` found, as its ``to_dict()``; empty without any."""
        if not self.layout.comparison.exists():
            return {}
        try:
            content = json.loads(self.layout.comparison.read_text(encoding="utf-8"))
            return {int(side): found for side, found in content.items()}
        except (ValueError, AttributeError) as error:
            raise OptionError(
                f"{self.layout.comparison} is damaged ({error}); the run's own command writes it "
                "again"
            ) from None

    def original(self, side: int, key: str) -> Path:
        """See :meth:`Layout.original`."""
        return self.layout.original(side, key)

    def mask(self, side: int, mask_class: str, key: str) -> Path:
        """See :meth:`Layout.mask`."""
        return self.layout.mask(side, mask_class, key)

    def filled(self, side: int, model: str, mask_class: str, key: str) -> Path:
        """See :meth:`Layout.filled`."""
        return self.layout.filled(side, model, mask_class, key)


def _read_settings(path: Path) -> dict[str, Any]:
    """Content of ``run.json``, of which everything that has to be there is there.

    Raises:
        ValueError, TypeError, LookupError, AttributeError: something is not.
    """
    settings = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(settings, dict) or settings.get("format") != FORMAT:
        return settings  # refused for that
    models = [from_dict(ModelEntry, entry).name for entry in settings["models"]]
    classes = [from_dict(ClassEntry, entry) for entry in settings["classes"]]
    for name in (*models, *(one.name for one in classes), *settings["dataset"]["keys"]):
        _part(name)
    if not all(type(side) is int for side in settings["sides"]):
        raise TypeError("a side that is no whole number")
    if not all(type(label) is int for one in classes for label in one.label_ids):
        raise TypeError("a label id that is no whole number")
    if wrong := [name for name, kind in _SETTINGS.items() if not isinstance(settings[name], kind)]:
        raise TypeError(f"{wrong[0]} is {settings[wrong[0]]!r}")
    return settings


def _part(name: Any) -> str:
    """A name as one part of a path; names in files come from anywhere.

    Raises:
        OptionError: it would lead elsewhere.
    """
    text = str(name)
    if text in ("", ".", "..") or any(character in text for character in "/\\\0"):
        raise OptionError(f"{text[:80]!r} is a path, not the name of a model, class or image")
    return text
