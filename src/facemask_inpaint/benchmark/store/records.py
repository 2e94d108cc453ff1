"""What a run writes down: JSON objects, one a line, in a fixed order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar

from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.errors import OptionError

if TYPE_CHECKING:
    from facemask_inpaint._internal.types import JSON

Record = TypeVar("Record", "ClassEntry", "MethodEntry", "CaseRecord", "Score", "Timing", "Failure")

_DIGITS = 6


class ProtocolRecord(TypedDict):
    """What a run writes down of its protocol.

    Attributes:
        name: of the protocol.
        version: of the protocol.
        sha256: hash of all that it says.
        deviations: in words, where the run does not follow it.
    """

    name: str
    version: int
    sha256: str
    deviations: list[str]


@dataclass(frozen=True)
class ClassEntry:
    """A mask class of the run.

    Example:
        >>> ClassEntry("hair", "G", (13,), letter_from_study=True).letter
        'G'

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
class MethodEntry:
    """What a run records of a method: where it comes from, and what pins it.

    Example:
        >>> MethodEntry("ours", "checkpoints/ours").training_split
        'unknown'

    Attributes:
        name: what tables and folders call it.
        source: registry name, folder, hub repository, or a description of the object given.
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
    conditions: Mapping[str, object] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class CaseRecord:
    """One case: image × mask class × resolution × method, with its metrics.

    Example:
        >>> CaseRecord("lama", "hair", 256, "00012", 0.18, {"psnr_hole": 21.4}).metrics["psnr_hole"]
        21.4

    Attributes:
        method: name of the method.
        mask_class: name of the class.
        resolution: height and width in pixels.
        key: the portrait's key in its data set.
        hole_share: share of the image that is hole.
        metrics: by name, see ``benchmark.benchmark_metrics``; one that is undefined here is absent.
    """

    method: str
    mask_class: str
    resolution: int
    key: str
    hole_share: float
    metrics: Mapping[str, float]


class _CaseFields(TypedDict):
    method: str
    mask_class: str
    resolution: int
    key: str
    hole_share: float
    metrics: dict[str, float]


class CaseLine(_CaseFields, total=False):
    """A :class:`CaseRecord` as the ranks remember it.

    Attributes:
        measured: names of the metrics that were computed, those that are undefined here included.
        source: the :class:`Identity` of the files that a stored prediction was taken from.
        at: time of writing in nanoseconds; of two lines on one case the later one holds.
    """

    measured: list[str]
    source: dict[str, str]
    at: int


@dataclass(frozen=True)
class Score:
    """One number of one method on one class at one resolution.

    Example:
        >>> Score("lama", "hair", 256, "fid", 12.5, n=2000).value
        12.5

    Attributes:
        method: name of the method.
        mask_class: name of the class.
        resolution: height and width in pixels.
        metric: name, see ``benchmark.benchmark_metrics``.
        value: the number, to six significant digits.
        n: images behind it.
        low: lower 95 % limit, where there is an honest one.
        high: upper limit.
        warnings: sentences that a reader of the number has to know.
    """

    method: str
    mask_class: str
    resolution: int
    metric: str
    value: float
    n: int
    low: float | None = None
    high: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Timing:
    """What a method costs on a device.

    Example:
        >>> 1 / Timing("lama", 256, "a GPU", seconds=0.02, mebibytes=900.0, n=2000).seconds
        50.0

    Attributes:
        method: name of the method.
        resolution: height and width in pixels.
        device: name of the hardware.
        seconds: per image, median over batches.
        mebibytes: peak memory, largest over batches; ``None`` where it cannot be read.
        n: images that were timed.
    """

    method: str
    resolution: int
    device: str
    seconds: float
    mebibytes: float | None
    n: int


class TimingLine(TypedDict):
    """What one batch of a method cost; seconds are per image.

    Attributes:
        first: whether the process had called the method before; then it also warmed up.
    """

    method: str
    resolution: int
    device: str
    seconds: float
    mebibytes: float | None
    n: int
    first: bool


@dataclass(frozen=True)
class Failure:
    """Something that failed and cost nothing else.

    Example:
        >>> print(Failure("read", "the file is damaged", key="00012"))
        read 00012: the file is damaged

    Attributes:
        stage: ``"read"``, ``"load"``, ``"predict"``, ``"write"``, ``"measure"``, ``"score"``,
            ``"compare"`` or ``"report"``.
        message: what was wrong.
        method: name of the method concerned; ``None`` when all are, and likewise below.
        mask_class: name of the class.
        resolution: height and width in pixels.
        key: the portrait's key.
    """

    stage: str
    message: str
    method: str | None = None
    mask_class: str | None = None
    resolution: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        case = (self.method, self.mask_class, self.resolution, self.key)
        named = " ".join(str(part) for part in case if part is not None)
        return f"{self.stage}{' ' + named if named else ''}: {self.message}"


def rounded(value: float) -> float:
    """Return a number as records hold it, to six significant digits.

    The order of a sum, which threads decide, shows in none of them.
    """
    return float(f"{value:.{_DIGITS}g}")


def to_json(record: Record) -> str:
    """Return a record as one line of JSON, without the line's end."""
    return json.dumps(asdict(record), ensure_ascii=False, allow_nan=False)


def from_dict(record_type: type[Record], content: Mapping[str, object]) -> Record:
    """Return a record from what its JSON holds."""
    fields = {name: tuple(v) if isinstance(v, list) else v for name, v in content.items()}
    return record_type(**fields)  # type: ignore[arg-type]  # as the record's own JSON has them


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write records as JSON lines, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(
            "".join(f"{to_json(record)}\n" for record in records), encoding="utf-8"
        )


def read_records(path: Path, record_type: type[Record]) -> tuple[Record, ...]:
    """Return the records of a file of JSON lines; none where there is no file.

    Raises:
        OptionError: a line holds something else.
    """
    try:
        return tuple(from_dict(record_type, content) for content in read_lines(path))
    except TypeError as error:
        raise OptionError(
            f"{path} is damaged ({error}); the run's own command writes it again"
        ) from None


def read_lines(path: Path) -> Iterator[dict[str, JSON]]:
    """Yield the JSON objects of a file, line by line, without a line that a kill cut short."""
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
