"""What a run writes down: JSON objects, one a line, in a fixed order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.errors import OptionError

Kind = TypeVar("Kind", "ClassEntry", "ModelEntry", "PictureRecord", "Score", "Timing", "Fault")


@dataclass(frozen=True)
class ClassEntry:
    """A mask class of the run.

    Attributes:
        name: ``"hair"``; the name of its folders too.
        letter: ``"A"`` … ``"L"``; empty for a custom class.
        label_ids: ids of the labels it covers, ascending.
        letter_from_study: whether the study pins the letter; the others are this library's.
    """

    name: str
    letter: str
    label_ids: tuple[int, ...]
    letter_from_study: bool = False


@dataclass(frozen=True)
class ModelEntry:
    """A model of the run and where it comes from.

    Attributes:
        name: what tables and folders call it.
        source: registry name, folder, hub repository, or the kind of object that was given.
        digest: hash that pins its weights and options, its card, or a function's ``version`` or
            code; ``None`` where nothing can.
        licence: of the weights; empty where not known.
        training: what it was trained on, and which part of CelebA-HQ it may have seen.
        training_split: key of ``models.TRAINING_SPLITS``; ``"unknown"`` where nothing
            is recorded.
        resolution: side in pixels it was trained at, where there is one.
        conditions: what it is told besides image and mask: steps, guidance, prompts by mask class.
    """

    name: str
    source: str
    digest: str | None = None
    licence: str = ""
    training: str = ""
    training_split: str = "unknown"
    resolution: int | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class PictureRecord:
    """Measures of one filled picture.

    Attributes:
        model: name of the model.
        mask_class: name of the class.
        side: height and width in pixels.
        key: the portrait's key in its data set.
        hole_share: share of the picture that is hole.
        measures: by name, see ``benchmark.measures``; one that is undefined here is absent.
    """

    model: str
    mask_class: str
    side: int
    key: str
    hole_share: float
    measures: Mapping[str, float]


@dataclass(frozen=True)
class Score:
    """One number of one model on one class at one side.

    Attributes:
        model: name of the model.
        mask_class: name of the class.
        side: height and width in pixels.
        metric: name, see ``benchmark.measures``.
        value: the number, to six significant digits.
        n: pictures behind it.
        low: lower 95 % limit, where there is an honest one.
        high: upper limit.
        warnings: sentences that a reader of the number has to know.
    """

    model: str
    mask_class: str
    side: int
    metric: str
    value: float
    n: int
    low: float | None = None
    high: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Timing:
    """What a model costs on a device.

    Attributes:
        model: name of the model.
        side: height and width in pixels.
        device: name of the hardware.
        seconds: per picture, median over batches.
        mebibytes: peak memory, largest over batches; ``None`` where it cannot be read.
        n: pictures that were timed.
    """

    model: str
    side: int
    device: str
    seconds: float
    mebibytes: float | None
    n: int


@dataclass(frozen=True)
class Fault:
    """Something that failed and cost nothing else.

    Attributes:
        stage: ``"read"``, ``"load"``, ``"fill"``, ``"write"``, ``"measure"``, ``"score"``,
            ``"compare"`` or ``"report"``.
        message: what was wrong.
        model: name of the model concerned; ``None`` when all are, and likewise below.
        mask_class: name of the class.
        side: height and width in pixels.
        key: the portrait's key.
    """

    stage: str
    message: str
    model: str | None = None
    mask_class: str | None = None
    side: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        where = (self.model, self.mask_class, self.side, self.key)
        named = " ".join(str(part) for part in where if part is not None)
        return f"{self.stage}{' ' + named if named else ''}: {self.message}"


def to_json(record: Any) -> str:
    """A record as one line of JSON, without the line's end."""
    return json.dumps(asdict(record), ensure_ascii=False, allow_nan=False)


def from_dict(kind: type[Kind], content: Mapping[str, Any]) -> Kind:
    """A record from what its JSON holds."""
    fields: Any = {name: tuple(v) if isinstance(v, list) else v for name, v in content.items()}
    return kind(**fields)


def write_records(path: Path, records: Iterable[Any]) -> None:
    """Write records as JSON lines, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text("".join(f"{to_json(one)}\n" for one in records), encoding="utf-8")


def read_records(path: Path, kind: type[Kind]) -> tuple[Kind, ...]:
    """Records of a file of JSON lines; none where there is no file.

    Raises:
        OptionError: a line holds something else.
    """
    try:
        return tuple(from_dict(kind, content) for content in read_lines(path))
    except TypeError as error:
        raise OptionError(
            f"{path} is damaged ({error}); the run's own command writes it again"
        ) from None


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """JSON objects of a file, line by line; a line that a kill cut short is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                content = json.loads(line)
            except ValueError:
                continue
            if isinstance(content, dict):
                yield content
