"""The folder of a run: where everything lies, and reading it back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from facemask_inpaint.benchmark.store.records import (
    CaseRecord,
    ClassEntry,
    Failure,
    MethodEntry,
    ProtocolRecord,
    Score,
    Timing,
    from_dict,
    read_records,
)
from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics.comparison.results import ComparisonDict

FORMAT = 1
"""Version of the folder's layout, kept in ``run.json``."""


_SETTING_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "seed": int,
    "dtype": str,
    "masker": dict,
    "metrics": list,
    "extractors": dict,
    "parser": (str, type(None)),
}
"""What else ``run.json`` holds, and of which type."""


@dataclass(frozen=True)
class Layout:
    """Paths of a run's files; nothing is read or made here.

    Attributes:
        folder: the run's folder.

    Example:
        >>> Layout(Path("runs/faces")).prediction(256, "lama", "hair", "0").as_posix()
        'runs/faces/predictions/256/lama/hair/0.png'
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
    def cases(self) -> Path:
        """One :class:`~.records.CaseRecord` a line."""
        return self.folder / "cases.jsonl"

    @property
    def scores(self) -> Path:
        """One :class:`~.records.Score` a line."""
        return self.folder / "scores.jsonl"

    @property
    def timings(self) -> Path:
        """One :class:`~.records.Timing` a line."""
        return self.folder / "timings.jsonl"

    @property
    def failures(self) -> Path:
        """One :class:`~.records.Failure` a line."""
        return self.folder / "failures.jsonl"

    @property
    def comparison(self) -> Path:
        """``Comparison.to_dict()`` of each resolution, by the resolution as text."""
        return self.folder / "comparison.json"

    def original(self, resolution: int, key: str) -> Path:
        """Return the path of a portrait at that resolution."""
        return self.folder / "originals" / _part(resolution) / f"{_part(key)}.png"

    def mask(self, resolution: int, mask_class: str, key: str) -> Path:
        """Return the path of a mask, 255 = hole; no file where the portrait lacks the component."""
        return self.folder / "masks" / _part(resolution) / _part(mask_class) / f"{_part(key)}.png"

    def label_map(self, resolution: int, key: str) -> Path:
        """Return the path of a portrait's label map at that resolution, for the diagnostics."""
        return self.work / "labels" / _part(resolution) / f"{_part(key)}.png"

    def prediction(self, resolution: int, method: str, mask_class: str, key: str) -> Path:
        """Return the path of a method's prediction; no file where it failed."""
        parts = (_part(resolution), _part(method), _part(mask_class), f"{_part(key)}.png")
        return self.folder.joinpath("predictions", *parts)


@dataclass(frozen=True)
class Run:
    """A run on disk, finished or not. What is large is read when first asked for.

    Attributes:
        layout: where its files are.
        settings: content of ``run.json``.

    Example:
        >>> run = Run.open("runs/faces-256")  # doctest: +SKIP
        >>> [(score.method, score.value) for score in run.scores]  # doctest: +SKIP
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
        version = settings.get("format") if isinstance(settings, dict) else None
        if version != FORMAT:
            raise OptionError(f"{layout.settings} is of format {version!r}; needed: {FORMAT}")
        return cls(layout, settings)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.layout.folder

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return str(self.settings["dataset"]["name"])

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Keys of the portraits, in order."""
        return tuple(self.settings["dataset"]["keys"])

    @cached_property
    def classes(self) -> tuple[ClassEntry, ...]:
        """Mask classes, in the order of the tables."""
        return tuple(from_dict(ClassEntry, entry) for entry in self.settings["classes"])

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Sides in pixels, ascending."""
        return tuple(self.settings["resolutions"])

    @cached_property
    def methods(self) -> tuple[MethodEntry, ...]:
        """Models, in the order in which they joined the run."""
        return tuple(from_dict(MethodEntry, entry) for entry in self.settings["methods"])

    @property
    def protocol(self) -> ProtocolRecord | None:
        """Name, version, hash and deviations of the protocol; ``None`` without one."""
        return self.settings.get("protocol")

    @property
    def seen(self) -> Mapping[str, int]:
        """Training split to how many of the portraits were in it; empty where not known."""
        seen: Mapping[str, int] = self.settings["dataset"].get("seen", {})
        return seen

    @cached_property
    def cases(self) -> tuple[CaseRecord, ...]:
        """Every case that was predicted, by method, resolution, class and key."""
        return read_records(self.layout.cases, CaseRecord)

    @cached_property
    def scores(self) -> tuple[Score, ...]:
        """Every score, by resolution, metric, method and class."""
        return read_records(self.layout.scores, Score)

    @cached_property
    def timings(self) -> tuple[Timing, ...]:
        """What each method costs, by method, resolution and device."""
        return read_records(self.layout.timings, Timing)

    @cached_property
    def failures(self) -> tuple[Failure, ...]:
        """What failed."""
        return read_records(self.layout.failures, Failure)

    @cached_property
    def comparison(self) -> Mapping[int, ComparisonDict]:
        """By resolution what ``metrics.compare`` found, as its ``to_dict()``; empty without any."""
        if not self.layout.comparison.exists():
            return {}
        try:
            content = json.loads(self.layout.comparison.read_text(encoding="utf-8"))
            return {int(resolution): comparison for resolution, comparison in content.items()}
        except (ValueError, AttributeError) as error:
            raise OptionError(
                f"{self.layout.comparison} is damaged ({error}); the run's own command writes it "
                "again"
            ) from None

    def original(self, resolution: int, key: str) -> Path:
        """See :meth:`Layout.original`."""
        return self.layout.original(resolution, key)

    def mask(self, resolution: int, mask_class: str, key: str) -> Path:
        """See :meth:`Layout.mask`."""
        return self.layout.mask(resolution, mask_class, key)

    def prediction(self, resolution: int, method: str, mask_class: str, key: str) -> Path:
        """See :meth:`Layout.prediction`."""
        return self.layout.prediction(resolution, method, mask_class, key)


def _read_settings(path: Path) -> dict[str, Any]:
    """Return the content of ``run.json``, in which everything is there that has to be.

    Raises:
        ValueError, TypeError, LookupError, AttributeError: something is not.
    """
    settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(settings, dict) or settings.get("format") != FORMAT:
        return settings  # refused for that
    methods = [from_dict(MethodEntry, entry).name for entry in settings["methods"]]
    classes = [from_dict(ClassEntry, entry) for entry in settings["classes"]]
    for name in (*methods, *(entry.name for entry in classes), *settings["dataset"]["keys"]):
        _part(name)
    if not all(type(resolution) is int for resolution in settings["resolutions"]):
        raise TypeError("a resolution that is no whole number")
    if not all(type(label) is int for entry in classes for label in entry.label_ids):
        raise TypeError("a label id that is no whole number")
    wrong = [
        name
        for name, expected in _SETTING_TYPES.items()
        if not isinstance(settings[name], expected)
    ]
    if wrong:
        raise TypeError(f"{wrong[0]} is {settings[wrong[0]]!r}")
    return settings


def _part(name: object) -> str:
    """Return a name as one part of a path; names in files come from anywhere.

    Raises:
        OptionError: it would lead elsewhere.
    """
    text = str(name)
    if text in ("", ".", "..") or any(character in text for character in "/\\\0"):
        raise OptionError(f"{text[:80]!r} is a path, not the name of a method, class or image")
    return text
