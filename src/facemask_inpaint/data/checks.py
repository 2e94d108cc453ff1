"""Checks of a data set before hours of work: what is missing, damaged, odd or too little."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from facemask_inpaint._internal.concurrency import in_threads
from facemask_inpaint.data.faces import Face, Faces
from facemask_inpaint.errors import DataSetError, ImageError, LabelMapError
from facemask_inpaint.labels import LABEL_IDS
from facemask_inpaint.masks.label_maps import Annotation, LabelSource
from facemask_inpaint.masks.order_check import order_warning
from facemask_inpaint.masks.semantic import SemanticMasker
from facemask_inpaint.masks.vocabularies import require_vocabulary

WidthAndHeight = tuple[int, int]
"""In pixels, in the order of PIL; the library's own ``Size`` is height and width."""

_SHOWN = 40
_LOOKED_AT = 24
"""Label maps that are checked for their label order."""

_ASPECT_TOLERANCE = 0.01
_BYTES_PER_PIXEL = 1.6
"""Of a portrait as PNG: 1.3 on average over portraits of 256 pixels, 1.8 at most."""


class Problem(NamedTuple):
    """Why a portrait cannot be used.

    Attributes:
        key: of the portrait.
        message: what is wrong, with the file.

    Example:
        >>> from facemask_inpaint.data import Problem
        >>> Problem("anna", "images/anna.jpg is cut short").key
        'anna'
    """

    key: str
    message: str


@dataclass(frozen=True)
class DataCheck:
    """Result of :func:`check`; ``print`` it.

    Attributes:
        name: of the data set.
        keys: of its portraits.
        problems: why portraits cannot be used, one entry for each file.
        counts: number of portraits that have the component, by mask class.
        image_sizes: number of images of each (width, height).
        label_sizes: number of label maps of each.
        empty_parts: part files that mark nothing; they count as absent.
        warnings: what to know before the figures are believed.

    Example:
        >>> from facemask_inpaint import data
        >>> report = data.check(data.open_faces("faces"))  # doctest: +SKIP
        >>> faces = faces.select(report.usable)  # doctest: +SKIP
    """

    name: str
    keys: tuple[str, ...]
    problems: tuple[Problem, ...]
    counts: Mapping[str, int]
    image_sizes: Mapping[WidthAndHeight, int]
    label_sizes: Mapping[WidthAndHeight, int]
    empty_parts: tuple[Path, ...]
    warnings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every portrait can be used."""
        return not self.problems

    @property
    def usable(self) -> tuple[str, ...]:
        """Keys of the portraits that can be used, for :meth:`Faces.select`."""
        unusable = {problem.key for problem in self.problems}
        return tuple(key for key in self.keys if key not in unusable)

    def disk_space(self, methods: int, resolutions: Sequence[int]) -> int:
        """Estimate how many bytes the images of a benchmark take.

        Args:
            methods: number of methods that fill every class.
            resolutions: heights and widths in pixels.
        """
        images = methods * sum(self.counts.values()) + len(self.usable)
        return round(_BYTES_PER_PIXEL * images * sum(side * side for side in resolutions))

    @property
    def unusable(self) -> tuple[str, ...]:
        """Keys of the portraits that cannot be used."""
        usable = set(self.usable)
        return tuple(key for key in self.keys if key not in usable)

    def require_usable(self, advice: str = "") -> None:
        """Refuse a data set with portraits that cannot be used.

        Args:
            advice: what to do, at the end of the message.

        Raises:
            DataSetError: With every such portrait and what is wrong with it.
        """
        if self.ok:
            return
        problems = "; ".join(f"{key}: {message}" for key, message in self.problems)
        raise DataSetError(
            f"{self.name}: {len(self.unusable):,} of {len(self.keys):,} portraits cannot be used: "
            f"{problems}" + (f". {advice}" if advice else "")
        )

    def __str__(self) -> str:
        """Return the report as text of several lines."""
        unusable = len(self.unusable)
        lines = [f"{self.name}: {len(self.keys):,} portraits, {unusable:,} of them unusable"]
        lines += _shown([f"  {key}: {message}" for key, message in self.problems])
        lines.append(f"images     {_sizes(self.image_sizes)}")
        lines.append(f"label maps {_sizes(self.label_sizes)}")
        if self.empty_parts:
            lines.append(
                f"part files that mark nothing, taken as absent: {len(self.empty_parts):,}"
            )
            lines += _shown([f"  {path}" for path in self.empty_parts])
        width = max(map(len, self.counts), default=0)
        lines += [f"  {name:<{width}} {count:7,}" for name, count in self.counts.items()]
        return "\n".join(lines + [f"warning: {text}" for text in self.warnings])


def check(
    faces: Faces,
    classes: str | Iterable[str] = "all",
    masker: SemanticMasker | None = None,
    *,
    min_count: int = 100,
    min_side: int = 256,
    square: bool = False,
    label_maps: bool = True,
    workers: int | None = None,
    progress: bool = True,
) -> DataCheck:
    """Read every portrait and label map once, and report what is wrong.

    Args:
        faces: the data set.
        classes: mask classes to count, as ``SemanticMasker.select`` takes them.
        masker: decides which classes a portrait has; ``None`` for those of the data's vocabulary.
        min_count: a class that fewer portraits have gets a warning.
        min_side: so do images with fewer pixels on the shorter side.
        square: count portraits that are not square as unusable, as benchmarks and training do;
            else they get a warning.
        label_maps: whether they are needed; ``False`` looks at the images alone, and no class is
            counted.
        workers: threads; ``None`` for one per processor.
        progress: show a progress bar.

    Returns:
        The report, whose ``usable`` keys go into :meth:`Faces.select`.

    Raises:
        UnknownNameError: There is no such mask class.
        LabelMapError: The masker is for label maps of another vocabulary.

    Example:
        >>> from facemask_inpaint import data
        >>> report = data.check(data.open_faces("faces"))  # doctest: +SKIP
        >>> report.ok, report.counts["ears"]  # doctest: +SKIP
        (True, 1204)
    """
    masker = masker or SemanticMasker(vocabulary=faces.vocabulary)
    require_vocabulary(faces.vocabulary, masker.vocabulary)
    names = masker.select(classes) if label_maps else []
    findings = in_threads(
        partial(_inspect, masker=masker, square=square, label_maps=label_maps),
        faces,
        workers=workers,
        progress=progress,
        description="check",
    )
    unavailable = faces.unavailable({name: masker.classes[name] for name in names})
    warning = label_order_warning(faces) if label_maps else None
    return _summary(
        faces,
        findings,
        [name for name in names if name not in unavailable],
        [*([warning] if warning else []), *unavailable.values()],
        min_count,
        min_side,
    )


class _Findings(NamedTuple):
    """What the check of one portrait found."""

    problems: list[str]
    image_size: WidthAndHeight | None
    label_size: WidthAndHeight | None
    classes: list[str]
    empty_parts: list[Path]


def label_order_warning(faces: Faces) -> str | None:
    """Return a warning if the label maps of a data set seem to be in another label order.

    A few of them are looked at. Only files with label ids of faces can be in a wrong order.

    Args:
        faces: the data set.

    Example:
        >>> from facemask_inpaint import data
        >>> data.label_order_warning(data.open_faces("faces"))  # doctest: +SKIP
    """
    step = max(1, len(faces) // _LOOKED_AT)
    files = [face.label_map for face in faces[::step][:_LOOKED_AT] if face.label_map]
    if faces.vocabulary.labels != LABEL_IDS:
        return None
    return order_warning((path for path in files if path.is_file()), faces[0].label_order)


def _summary(
    faces: Faces,
    findings: Sequence[_Findings],
    names: Sequence[str],
    notes: Sequence[str],
    min_count: int,
    min_side: int,
) -> DataCheck:
    sizes = Counter(each.image_size for each in findings if each.image_size)
    label_sizes = Counter(each.label_size for each in findings if each.label_size)
    present = Counter(name for each in findings for name in each.classes)
    counts = {name: present[name] for name in names}
    few = [
        f"portraits with {name}: {count:,}, fewer than {min_count:,}"
        for name, count in counts.items()
        if count < min_count
    ]
    return DataCheck(
        name=faces.name,
        keys=tuple(face.key for face in faces),
        problems=tuple(
            Problem(face.key, message)
            for face, each in zip(faces, findings)
            for message in each.problems
        ),
        counts=counts,
        image_sizes=dict(sizes.most_common()),
        label_sizes=dict(label_sizes.most_common()),
        empty_parts=tuple(path for each in findings for path in each.empty_parts),
        warnings=(*notes, *_size_warnings(sizes, label_sizes, min_side), *few),
    )


def _inspect(face: Face, masker: SemanticMasker, square: bool, label_maps: bool) -> _Findings:
    problems: list[str] = []
    image_size, source = None, None
    try:
        image_size = face.read_image().size
    except ImageError as error:
        problems.append(f"{error}; copy the file again")
    if square and image_size is not None and image_size[0] != image_size[1]:
        problems.append(f"{face.image} is {_text(image_size)}: crop it to a square")
    try:
        source = face.read_label_map() if label_maps else None
    except (ImageError, LabelMapError) as error:
        problems.append(str(error))
    if source is None:
        return _Findings(problems, image_size, None, [], [])
    height, width = source.shape
    if image_size and (problem := frame_problem(face.image, image_size, (width, height))):
        problems.append(problem)
    background = source.vocabulary.labels.get("background")
    if not any(area for label, area in enumerate(source.areas) if label != background):
        problems.append(f"{face.label_map} marks nothing but background")
    usable = not problems
    classes = masker.present(source) if usable else []
    return _Findings(problems, image_size, (width, height), classes, _empty_parts(face, source))


def _empty_parts(face: Face, source: LabelSource) -> list[Path]:
    if not isinstance(source, Annotation):
        return []
    return [
        path
        for path in face.label_files()
        if LABEL_IDS[path.stem.partition("_")[2]] not in source.parts
    ]


def frame_problem(
    image: Path, image_size: WidthAndHeight, label_size: WidthAndHeight
) -> str | None:
    """Return what is wrong with a portrait and a label map of these sizes; ``None`` if nothing.

    They may be of different sizes, but not of different shapes.
    """
    ratio = image_size[0] * label_size[1] / (image_size[1] * label_size[0])
    if abs(ratio - 1) <= _ASPECT_TOLERANCE:
        return None
    sizes = f"{image} is {_text(image_size)}, its label map {_text(label_size)}"
    return f"{sizes}: they do not show the same frame"


def _size_warnings(
    sizes: Mapping[WidthAndHeight, int], label_sizes: Mapping[WidthAndHeight, int], min_side: int
) -> list[str]:
    small = sum(count for size, count in sizes.items() if min(size) < min_side)
    oblong = sum(count for (width, height), count in sizes.items() if width != height)
    warnings = []
    if small:
        warnings.append(f"images with fewer than {min_side} pixels on a side: {small:,}")
    if oblong:
        warnings.append(f"images that are not square: {oblong:,}")
    for what, counts in (("images", sizes), ("label maps", label_sizes)):
        if len(counts) > 1:
            warnings.append(f"{what} are of {len(counts)} sizes: {_sizes(counts)}")
    return warnings


def _sizes(sizes: Mapping[WidthAndHeight, int]) -> str:
    return ", ".join(f"{_text(size)} ({count:,})" for size, count in sizes.items()) or "none"


def _text(size: WidthAndHeight) -> str:
    return f"{size[0]} x {size[1]}"


def _shown(lines: Sequence[str]) -> list[str]:
    more = len(lines) - _SHOWN
    return [*lines[:_SHOWN], *([f"  and {more:,} more"] if more > 0 else [])]
