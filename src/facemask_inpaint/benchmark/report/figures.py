"""Figures for a paper: images in rows, and scores with their intervals, as PDF, PNG or SVG."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from facemask_inpaint import images
from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.benchmark.report.grids import heading, no_scores
from facemask_inpaint.benchmark.report.latex import COLUMN, text_width
from facemask_inpaint.benchmark.report.samples import Samples
from facemask_inpaint.benchmark.report.scores import Board, boards
from facemask_inpaint.benchmark.report.selection import Row
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.settings import extractor_of
from facemask_inpaint.errors import ImageError, MissingDependencyError, OptionError
from facemask_inpaint.images.contact_sheets import paint_hole
from facemask_inpaint.metrics.features.sets import stand_in_warnings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".pdf", ".png", ".svg")
"""Kinds of files that a figure can be."""

_POINTS_PER_INCH = 72.27
_LABEL = 12.0
"""Width in points of the text beside a row."""
_TITLE = 6.0
_LINE = 7.5
"""Height in points of a line above the columns."""
_SANS = 0.72
"""Width of a sans-serif letter of that size, relative to Computer Modern at 10 points."""
_STYLE = {
    "font.size": 7,
    "font.family": "sans-serif",
    "pdf.fonttype": 42,  # publishers refuse the bitmap-like Type 3
    "svg.hashsalt": "facemask-inpaint",
    "axes.linewidth": 0.5,
}
_MARKERS = "osD^vP*X"


def image_figure(
    run: Run,
    out: str | Path,
    samples: Samples,
    *,
    methods: Sequence[str] | None = None,
    zoom: float = 1.0,
    width: float = COLUMN,
) -> Path:
    """Write rows of images: the original, the hole, and what each method fills it with.

    Example:
        >>> from facemask_inpaint.benchmark import Run
        >>> from facemask_inpaint.benchmark.report import Samples, image_figure
        >>> run = Run.open("runs/faces-256")  # doctest: +SKIP
        >>> image_figure(run, "eyes.pdf", Samples(("eyes",), pick="worst"))  # doctest: +SKIP

    Args:
        run: the run.
        out: file to write: .pdf, .png or .svg.
        samples: which portraits, by key, at random, or by how well they came out.
        methods: names of the methods to show, in this order; ``None`` for all.
        zoom: magnification around the middle of the hole, 1 for whole images.
        width: of the figure in points.

    Returns:
        The file.

    Raises:
        OptionError: there is no such method, class or portrait, or the file has another suffix.
        MissingDependencyError: matplotlib is missing.
    """
    if not 1 <= zoom <= 16:
        raise OptionError(f"zoom is a magnification from 1 to 16, not {zoom:g}")
    names = _chosen([method.name for method in run.methods], methods)
    rows = samples.rows(run, names)
    cell = (width - _LABEL) / (2 + len(names))
    titles = [_wrapped(name, cell) for name in ("original", "hole", *names)]
    head = _LINE * (0.5 + max(title.count("\n") + 1 for title in titles))
    height = head + len(rows) * cell
    with _style():
        figure = _figure(width, height)
        axes = _axes(figure, len(rows), len(titles), _LABEL / width, 1 - head / height)
        for line, row in zip(axes, rows):
            _draw_row(line, run, row, names, zoom)
        for axis, title in zip(axes[0], titles):
            axis.set_title(title, fontsize=_TITLE, pad=2, linespacing=0.95)
        return _save(figure, out)


def score_figure(
    run: Run,
    out: str | Path,
    metric: str,
    resolution: int,
    *,
    methods: Sequence[str] | None = None,
    width: float = COLUMN,
) -> Path:
    """Write the scores of one metric by class and method, with their 95 % intervals.

    Example:
        >>> from facemask_inpaint.benchmark import Run
        >>> from facemask_inpaint.benchmark.report import score_figure
        >>> score_figure(Run.open("runs/faces"), "fid.pdf", "fid", 256)  # doctest: +SKIP

    Args:
        run: the run.
        out: file to write: .pdf, .png or .svg.
        metric: name of the scores, such as ``"fid"``.
        resolution: height and width in pixels.
        methods: names of the methods to show, in this order; ``None`` for all.
        width: of the figure in points.

    Returns:
        The file.

    Raises:
        OptionError: there are no such scores, or the file has another suffix.
        MissingDependencyError: matplotlib is missing.
    """
    found = [
        board
        for board in boards(run)
        if (board.metric.name, board.resolution) == (metric, resolution)
    ]
    if not found:
        raise no_scores([run], metric, resolution)
    board = found[0]
    names = _chosen(list(board.methods), methods)
    lines = max(2, len(names))
    height = 60.0 + len(board.classes) * (6 + 4.5 * lines) + 9 * math.ceil(len(names) / 3)
    with _style():
        figure = _figure(width, height)
        axis = figure.subplots()
        for index, name in enumerate(names):
            _draw_scores(axis, board, name, (index + 0.5) / lines - 0.5, index)
        _finish_plot(axis, board)
        caveats = stand_in_warnings(extractor_of(metric, run.settings["extractors"]))
        figure.suptitle("\n".join(map(_caveat, caveats)), fontsize=_TITLE)
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
        figure.set_layout_engine("constrained")
        return _save(figure, out)


def _style() -> AbstractContextManager[None]:
    """Return matplotlib's settings for papers.

    Raises:
        MissingDependencyError: matplotlib is missing.
    """
    try:
        from matplotlib import rc_context
    except ImportError:
        raise MissingDependencyError(
            "figures need matplotlib, which is not installed: "
            "pip install 'facemask-inpaint[report]'"
        ) from None
    return rc_context(_STYLE)


def _caveat(text: str) -> str:
    return textwrap.fill(text, 70)


def _wrapped(name: str, width: float) -> str:
    """Break a name at its hyphens where it is wider than its column."""
    parts = re.split(r"(?<=-)", name)
    lines = [parts[0]]
    for part in parts[1:]:
        if text_width(lines[-1] + part) * _SANS <= width:
            lines[-1] += part
        else:
            lines.append(part)
    return "\n".join(lines)


def _axes(
    figure: Figure, rows: int, columns: int, left: float, top: float
) -> Sequence[Sequence[Axes]]:
    """Return a grid of axes that leaves room for names at the left and the top."""
    edges = {"left": left, "right": 1.0, "bottom": 0.0, "top": top, "wspace": 0.03, "hspace": 0.03}
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw=edges)
    return cast("Sequence[Sequence[Axes]]", grid)


def _figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in points."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH))


def _save(figure: Figure, out: str | Path) -> Path:
    """Write a figure, the same bytes each time."""
    path = Path(out)
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(f"{path}: a figure is a file in {', '.join(SUFFIXES)}")
    kind = path.suffix.lower().removeprefix(".")
    dated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=300, metadata=dated[kind])
    return path


def _chosen(known: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    if wanted is None:
        return list(known)
    if missing := [name for name in wanted if name not in known]:
        raise OptionError(f"there is no method {missing[0]}: there are {', '.join(known)}")
    return list(wanted)


def _draw_row(axes: Sequence[Axes], run: Run, row: Row, names: Sequence[str], zoom: float) -> None:
    """Draw original, hole and predictions of one portrait, all cropped alike."""
    original = images.read_image(run.original(row.resolution, row.key))
    hole = np.asarray(images.read_image(run.mask(row.resolution, row.mask_class, row.key))) > 0
    window = _window(hole, zoom)
    _draw(axes[0], np.asarray(images.to_rgb(original))[window])
    _draw(axes[1], np.asarray(paint_hole(original, hole))[window])
    for axis, name in zip(axes[2:], names):
        path = run.prediction(row.resolution, name, row.mask_class, row.key)
        try:
            _draw(axis, np.asarray(images.to_rgb(path))[window])
        except ImageError:
            _draw(axis, np.full((1, 1, 3), 235, np.uint8))
            axis.text(0, 0, "no image", ha="center", va="center", fontsize=5)
    axes[0].set_ylabel(f"{row.mask_class.replace('_', ' ')}, {row.key}", fontsize=5, labelpad=2)


def _draw(axis: Axes, pixels: NDArray[np.uint8]) -> None:
    axis.imshow(pixels, interpolation="none", aspect="auto")
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)


def _window(hole: NDArray[np.bool_], zoom: float) -> tuple[slice, slice]:
    """Return rows and columns of a square around the middle of a hole, inside the image."""
    slices = []
    for axis, whole in ((1, hole.shape[0]), (0, hole.shape[1])):
        side = max(1, round(whole / zoom))
        where = np.flatnonzero(hole.any(axis=axis))
        middle = (int(where[0]) + int(where[-1]) + 1) // 2 if where.size else whole // 2
        start = min(max(0, middle - side // 2), whole - side)
        slices.append(slice(start, start + side))
    return slices[0], slices[1]


def _draw_scores(axis: Axes, board: Board, name: str, offset: float, index: int) -> None:
    factor = 100 if board.metric.percent else 1
    entries = [
        (place, board.scores[entry.name, name])
        for place, entry in enumerate(board.classes)
        if (entry.name, name) in board.scores
    ]
    values = [factor * score.value for _, score in entries]
    low = [factor * (score.value if score.low is None else score.low) for _, score in entries]
    high = [factor * (score.value if score.high is None else score.high) for _, score in entries]
    reach = [np.maximum(np.subtract(values, low), 0), np.maximum(np.subtract(high, values), 0)]
    axis.errorbar(
        values,
        [place + 0.8 * offset for place, _ in entries],
        xerr=reach if board.has_intervals else None,
        label=name,
        color=f"C{index % 10}",
        fmt=_MARKERS[index % len(_MARKERS)],
        markersize=3,
        elinewidth=0.7,
    )


def _finish_plot(axis: Axes, board: Board) -> None:
    metric = board.metric
    unit = " (%)" if metric.percent else f" ({metric.unit})" if metric.unit else ""
    better = "lower" if metric.better == "lower" else "higher"
    interval = ", 95 % intervals" if board.has_intervals else ""
    axis.set_xlabel(f"{metric.label}{unit} at {board.resolution} px, {better} is better{interval}")
    axis.set_yticks(range(len(board.classes)), [heading(entry) for entry in board.classes])
    axis.set_ylim(len(board.classes) - 0.5, -0.5)
    if board.scale.logarithmic:
        axis.set_xscale("log")
    axis.tick_params(length=2)
    for place in range(1, len(board.classes)):
        axis.axhline(place - 0.5, color="0.85", linewidth=0.4, zorder=0)
    axis.spines[["top", "right"]].set_visible(False)
