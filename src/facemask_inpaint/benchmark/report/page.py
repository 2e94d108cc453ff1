"""The report of a run: one HTML file with its images, scores and warnings in it.

A new figure takes two places: a template in ``templates/``, included by ``templates/page.html``,
and the data it shows, added to the context in :func:`render`. Templates hold all markup and escape
everything; the modules beside this one hold what to show, and no markup.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.benchmark.diagnostics import DIAGNOSTICS
from facemask_inpaint.benchmark.metrics import in_table_order, metric_row
from facemask_inpaint.benchmark.protocols.leakage import leaks
from facemask_inpaint.benchmark.report import differences, format, plots, provenance, scores
from facemask_inpaint.benchmark.report.assets import Assets
from facemask_inpaint.benchmark.report.gallery import Gallery
from facemask_inpaint.benchmark.report.grids import MARKED
from facemask_inpaint.benchmark.report.selection import Selection
from facemask_inpaint.benchmark.report.warnings import caveats, scoped_warnings
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.settings import protocol_label
from facemask_inpaint.masks import MaskClass


def write_report(
    run: Run, target: str | Path | None = None, *, selection: Selection | None = None
) -> Path:
    """Write the report of a run: one file that needs no network and no other file.

    It only reads what the run left behind; the same run gives the same bytes.

    Args:
        run: a run, finished or not.
        target: file to write; default ``report.html`` in the run's folder.
        selection: how many images the report holds.

    Returns:
        The file.

    Example:
        >>> write_report(Run.open("runs/faces-256"))  # doctest: +SKIP
    """
    target = Path(target) if target is not None else run.layout.report
    content = render(run, selection or Selection())
    with atomic_path(target) as path:
        path.write_text(content, encoding="utf-8")
    return target


def render(run: Run, selection: Selection) -> str:
    """Return the report's HTML."""
    metrics = _metrics_of_cases(run)
    assets = Assets.of(
        run, selection, {name: metric_row(name).better == "lower" for name in metrics}
    )
    boards = scores.boards(run)
    gallery = Gallery.of(run, assets)
    resolution, method = _teaser_choice(run, boards)
    return (
        environment()
        .get_template("page.html")
        .render(
            run=run,
            filled=_filled(run),
            assets=assets,
            boards=boards,
            summaries=scores.summaries(boards),
            grids=gallery.grids(),
            extremes=gallery.extremes(),
            teaser=gallery.teaser(resolution, method),
            teaser_method=method,
            comparisons=differences.comparisons(run),
            costs=provenance.Costs.of(run),
            failures=provenance.shown_failures(run),
            settings=provenance.shown_settings(run),
            mask_text=provenance.mask_text(run),
            warnings=scoped_warnings(run),
            caveats=list(caveats(run)),
            leaks={leak.method: leak.text for leak in leaks(run)},
            metrics=[metric_row(name) for name in metrics],
        )
    )


@cache
def environment() -> Environment:
    """Return the templates' environment, in which everything is escaped."""
    jinja = Environment(
        autoescape=True,
        loader=PackageLoader(__package__),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    for function in (format.brief, format.counted, format.fixed, format.spoken):
        jinja.filters[function.__name__] = function
    jinja.filters["script_data"] = _script_data
    jinja.globals |= {
        "DASH": format.DASH,
        "MARKED": MARKED,
        "MINUS": format.MINUS,
        "colour": plots.colour,
        "descriptions": {str(mask_class): mask_class.description for mask_class in MaskClass},
        "interval": format.interval,
        "outline": plots.outline,
        "protocol_label": protocol_label,
        "source": _source,
    }
    return jinja


def _filled(run: Run) -> str:
    """Return in one sentence how much of what was asked for was filled."""
    cases, counted_of = run.cases, format.counted_of
    if not cases:
        return "Nothing was filled: see the failures." if run.failures else "Nothing is filled yet."
    methods = counted_of(len({case.method for case in cases}), len(run.methods), "method")
    classes = counted_of(len({case.mask_class for case in cases}), len(run.classes), "class")
    portraits = counted_of(len({case.key for case in cases}), len(run.keys), "portrait")
    sides = " and ".join(str(side) for side in sorted({case.resolution for case in cases}))
    return f"{methods} filled {classes} of facial components in {portraits} at {sides} pixels."


def _metrics_of_cases(run: Run) -> list[str]:
    """Return the metrics that cases of this run have, the diagnostics first."""
    present = {name for case in run.cases for name in case.metrics}
    return sorted(in_table_order(present), key=lambda name: name not in DIAGNOSTICS)


def _teaser_choice(run: Run, boards: Sequence[scores.Board]) -> tuple[int, str]:
    """Return resolution and method of the images at the top: the best by the first metric."""
    if not boards:
        return run.resolutions[0], run.methods[0].name
    return boards[0].resolution, boards[0].leader


def _script_data(images: dict[str, str]) -> Markup:
    """Return JSON that cannot end the element it stands in."""
    text = json.dumps(images, ensure_ascii=True, separators=(",\n", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _source(name: str) -> Markup:
    """Return a style sheet or script as it is."""
    path = resources.files(__package__) / "templates" / name
    return Markup(path.read_text(encoding="utf-8"))
