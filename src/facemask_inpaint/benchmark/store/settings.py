"""Settings of a run, merged with those of the run that is in the folder already."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TypeVar

import numpy as np
import PIL
import torch

from facemask_inpaint import SemanticMasker, __version__
from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint._internal.locks import LOCK_NAME
from facemask_inpaint.benchmark.metrics import metric_row
from facemask_inpaint.benchmark.store.layout import FORMAT, Layout, Run
from facemask_inpaint.benchmark.store.records import ClassEntry, MethodEntry, ProtocolRecord
from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks import MASK_CLASSES, Component, MaskClass
from facemask_inpaint.metrics import FeatureMetric

Entry = TypeVar("Entry", ClassEntry, MethodEntry)


@dataclass(frozen=True)
class Settings:
    """Everything that results depend on, besides the images themselves.

    Attributes:
        dataset: name of the data set.
        keys: of its portraits, in order.
        seed: from which every image's own is derived.
        dtype: what networks compute in.
        masker: how masks are cut.
        classes: mask classes, in the order of the tables.
        resolutions: in pixels, ascending.
        methods: in the order in which they joined.
        metrics: names of the metrics that become scores.
        extractors: name to identity of each feature extractor; empty without feature metrics.
        parser: name of what parses predictions; ``None`` without.
        protocol: name, version, hash and deviations of the protocol; ``None`` without.
        seen: training split, as cards name them, to the number of portraits that were in it.
    """

    dataset: str
    keys: tuple[str, ...]
    seed: int
    dtype: str
    masker: Mapping[str, object]
    classes: tuple[ClassEntry, ...]
    resolutions: tuple[int, ...]
    methods: tuple[MethodEntry, ...]
    metrics: tuple[str, ...]
    extractors: Mapping[str, str] = field(default_factory=dict)
    parser: str | None = None
    protocol: ProtocolRecord | None = None
    seen: Mapping[str, int] = field(default_factory=dict)

    def extractor_of(self, metric: str) -> str | None:
        """Return the identity of the extractor behind a score, ``None`` where there is none.

        Args:
            metric: name of the score's metric, such as ``"fid"`` or ``"fid@clean"``.
        """
        return extractor_of(metric, self.extractors)

    def after(self, earlier: Settings) -> Settings:
        """Return these settings merged with ``earlier`` ones: classes, resolutions and methods add.

        Raises:
            OptionError: finished work would have come out differently under these settings.
        """
        mine, theirs = self._fixed(), earlier._fixed()
        for what in mine:
            if what in theirs and mine[what] != theirs[what]:
                raise OptionError(
                    f"this run was begun with {what} {theirs[what]}, not {mine[what]}: go on with "
                    "the same, or give another folder"
                )
        return Settings(
            self.dataset,
            self.keys,
            self.seed,
            self.dtype,
            self.masker,
            _in_class_order(_merged(earlier.classes, self.classes)),
            tuple(sorted({*earlier.resolutions, *self.resolutions})),
            _merged(earlier.methods, self.methods),
            self.metrics,
            self.extractors,
            self.parser,
            self.protocol,
            self.seen,
        )

    def _fixed(self) -> dict[str, object]:
        """What must not change, each under words for people."""
        fixed: dict[str, object] = {
            "data set": repr(self.dataset),
            "portraits": _keys_in_words(self.keys),
            "seed": self.seed,
            "dtype": self.dtype,
            "parser": self.parser,
            "protocol": None if self.protocol is None else protocol_label(self.protocol),
        }
        fixed |= {f"masker option {name}": value for name, value in self.masker.items()}
        fixed |= {f"labels of class {entry.name}": list(entry.label_ids) for entry in self.classes}
        fixed |= {
            f"{_pinned_part(entry)} of method {entry.name}": _pin(entry) for entry in self.methods
        }
        return fixed

    def to_dict(self) -> dict[str, object]:
        """Return the content of ``run.json``, with the versions that made it."""
        content = asdict(self)
        dataset = {"name": self.dataset, "keys": list(content.pop("keys"))}
        seen = content.pop("seen")
        content["dataset"] = {**dataset, "seen": seen} if seen else dataset
        if self.protocol is None:
            del content["protocol"]
        return {"format": FORMAT, **content, "versions": _versions()}

    @classmethod
    def of_run(cls, run: Run) -> Settings:
        """Return the settings of a run that exists."""
        saved = run.settings
        return cls(
            run.dataset,
            run.keys,
            saved["seed"],
            saved["dtype"],
            saved["masker"],
            run.classes,
            run.resolutions,
            run.methods,
            tuple(saved["metrics"]),
            saved["extractors"],
            saved["parser"],
            run.protocol,
            run.seen,
        )


def protocol_label(record: ProtocolRecord) -> str:
    """Return the protocol of a run as results show it: name, version, beginning of the hash.

    Args:
        record: with ``name``, ``version`` and ``sha256``.
    """
    return f"{record['name']} v{record['version']} (SHA-256 {str(record['sha256'])[:12]})"


def extractor_of(metric: str, extractors: Mapping[str, str]) -> str | None:
    """Return the identity of the extractor behind a score, ``None`` where there is none.

    Args:
        metric: name of the score's metric, such as ``"fid"`` or ``"fid@clean"``.
        extractors: name to identity, as in a run's settings.
    """
    row = metric_row(metric)
    if not isinstance(row, FeatureMetric):
        return None
    name = row.extractor or metric.partition("@")[2] or next(iter(extractors), "")
    return extractors.get(name)


def merged_with_earlier(wanted: Settings, layout: Layout) -> Settings:
    """Return the settings for a folder, which may hold a run already.

    Raises:
        OptionError: the folder holds a run with other settings, or something else.
    """
    if not layout.settings.exists():
        if any(path.name != LOCK_NAME for path in layout.folder.iterdir()):
            raise OptionError(f"{layout.folder} is not empty and holds no run: give a new folder")
        return wanted
    try:
        return wanted.after(Settings.of_run(Run.open(layout.folder)))
    except OptionError as error:
        raise OptionError(f"{layout.folder}: {error}") from None


def write_settings(settings: Settings, layout: Layout) -> None:
    """Write ``run.json``, whole or not at all."""
    text = json.dumps(settings.to_dict(), indent=2, ensure_ascii=False)
    with atomic_path(layout.settings) as path:
        path.write_text(text + "\n", encoding="utf-8")


def class_entries(masker: SemanticMasker, names: Iterable[str]) -> tuple[ClassEntry, ...]:
    """Return entries of the named classes, in the order of the masker's table."""
    wanted = set(names)
    return tuple(
        _class_entry(str(name), component)
        for name, component in masker.classes.items()
        if name in wanted
    )


def masker_record(masker: SemanticMasker) -> Mapping[str, object]:
    """Return how a masker cuts, in terms of JSON.

    Raises:
        OptionError: its masks are soft; a benchmark's pixels are hole or not.
    """
    if masker.feather:
        raise OptionError("a benchmark needs hard masks: make the masker without feather=")
    return masker.settings()


def _class_entry(name: str, component: Component) -> ClassEntry:
    if MASK_CLASSES.get(name) != component:
        return ClassEntry(name, "", component.label_ids)
    known = MaskClass[name.upper()]
    return ClassEntry(name, known.letter, known.label_ids, known.letter_from_study)


def _pinned_part(entry: MethodEntry) -> str:
    return "function" if entry.source.startswith("function ") else "weights"


def _pin(entry: MethodEntry) -> str:
    """Return what must not change of a method; stored predictions are checked file by file."""
    return entry.digest or entry.source.partition(" in ")[0]


def _merged(earlier: tuple[Entry, ...], new: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """By name, earlier ones first; what both have as it is now."""
    return tuple(
        ({entry.name: entry for entry in earlier} | {entry.name: entry for entry in new}).values()
    )


def _in_class_order(classes: tuple[ClassEntry, ...]) -> tuple[ClassEntry, ...]:
    """Lettered classes by letter, then the others."""
    return tuple(sorted(classes, key=lambda entry: (not entry.letter, entry.letter)))


def _keys_in_words(keys: tuple[str, ...]) -> str:
    shown = ", ".join(keys[:3]) + (" …" if len(keys) > 3 else "")
    digest = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:8]
    return f"{len(keys)} ({shown}; digest {digest})"


def _versions() -> dict[str, str]:
    return {
        "facemask_inpaint": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
    }
