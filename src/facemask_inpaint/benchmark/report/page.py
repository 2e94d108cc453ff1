"""The page as a whole: its sections, controls, and the file they go into."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path

from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.benchmark.diagnostics import DIAGNOSTICS
from facemask_inpaint.benchmark.measures import in_table_order, metric_row
from facemask_inpaint.benchmark.report import differences, gallery, provenance, scores
from facemask_inpaint.benchmark.report.assets import Album, Selection
from facemask_inpaint.benchmark.report.format import counted, spoken
from facemask_inpaint.benchmark.report.markup import Child, Html, element
from facemask_inpaint.benchmark.report.plots import marker
from facemask_inpaint.benchmark.report.warnings import notices
from facemask_inpaint.benchmark.store.layout import Run

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def write_report(
    run: Run, target: str | Path | None = None, *, selection: Selection | None = None
) -> Path:
    """Write the page of a run: one file that needs no network and no other file.

    Only reads what the run left behind; the same run gives the same bytes.

    Args:
        run: a run, finished or not.
        target: file to write; default ``report.html`` in the run's folder.
        selection: how many images the page holds.

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
    """The page's HTML."""
    ranked = _ranked_measures(run)
    album = Album.of(run, selection, {name: metric_row(name).better == "lower" for name in ranked})
    boards = scores.boards(run)
    title = f"{run.dataset}: inpainting benchmark"
    sections = list(_sections(run, album, boards, ranked))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(_resource("style.css"))),
    )
    body = element(
        "body",
        element("a", "Skip to the scores", href="#scores", class_="skip"),
        _masthead(run, album, boards),
        _bar(run, [(anchor, title) for anchor, title, _ in sections]),
        element("main", [_section(*section) for section in sections]),
        element("noscript", element("p", "The images need JavaScript.", class_="about")),
        Html(_resource("zoom.html")),
        element(
            "script",
            Html(_as_script_data(album.images)),
            type="application/json",
            id="image-data",
        ),
        element("script", Html(_resource("script.js"))),
    )
    return f'<!doctype html>\n<html lang="en">{head}{body}</html>\n'


def _ranked_measures(run: Run) -> list[str]:
    """Measures that images of this run have, the diagnostics first."""
    present = {name for record in run.cases for name in record.metrics}
    return sorted(in_table_order(present), key=lambda name: name not in DIAGNOSTICS)


def _masthead(run: Run, album: Album, boards: Sequence[scores.Board]) -> Html:
    resolutions = " and ".join(str(resolution) for resolution in run.resolutions)
    lede = (
        f"{counted(len(run.methods), 'method')} filled {counted(len(run.classes), 'class')} of "
        f"facial components in {counted(len(run.keys), 'portrait')} at {resolutions} pixels."
    )
    extractor = ", ".join(run.settings["extractors"].values()) or "none"
    facts = {
        "features": extractor,
        "masks": _mask_words(run),
        "seed": str(run.settings.get("seed", "not recorded")),
        "failures": f"{len(run.failures):,}" if run.failures else "none",
    }
    return element(
        "header",
        element("p", "Face inpainting benchmark", class_="kicker"),
        element("h1", run.dataset),
        element("p", lede, class_="lede"),
        element("p", scores.headline(boards[0]), class_="lede") if boards else None,
        gallery.teaser(run, album, *_teaser_choice(run, boards)),
        element(
            "dl",
            [element("div", element("dt", n), element("dd", v)) for n, v in facts.items()],
            class_="facts key",
        ),
        notices(run),
        class_="masthead",
    )


def _mask_words(run: Run) -> str:
    options = run.settings.get("masker", {})
    told = (f"{spoken(name)} {value}" for name, value in options.items() if value is not None)
    return ", ".join(told) or "not recorded"


def _teaser_choice(run: Run, boards: Sequence[scores.Board]) -> tuple[int, str]:
    """Side and method for the images at the top: the best by the first metric."""
    if not boards:
        return run.resolutions[0], run.methods[0].name
    return boards[0].resolution, scores.leader(boards[0])


def _bar(run: Run, anchors: Iterable[tuple[str, str]]) -> Html:
    links = [element("a", title, href=f"#{anchor}") for anchor, title in anchors]
    chips = [
        _choice("checkbox", "method", method.name, [marker(index), method.name], True)
        for index, method in enumerate(run.methods)
    ]
    return element(
        "nav",
        element("div", links, class_="links"),
        element(
            "div",
            _select("class", "all classes", {one.name: spoken(one.name) for one in run.classes}),
            _select(
                "resolution",
                None,
                {str(resolution): f"{resolution} px" for resolution in run.resolutions},
            )
            if len(run.resolutions) > 1
            else None,
            _button("originals", "Show originals", "O", pressed=False),
            _button("magnifier", "Magnify", "M", pressed=False),
            _button("theme", "Light or dark", "D"),
            class_="tools",
        ),
        element("fieldset", element("legend", "Models", class_="unseen"), chips, class_="chips"),
        class_="bar",
        aria_label="Sections and filters",
    )


def _sections(
    run: Run, album: Album, boards: Sequence[scores.Board], ranked: Sequence[str]
) -> Iterable[tuple[str, str, Child]]:
    """Anchor, title and content of every section that has something to show."""
    if boards:
        metrics = {board.measure.name: board.measure.label for board in boards}
        yield (
            "scores",
            "Scores",
            [
                scores.summary(boards),
                _choices("Metric", "metric", metrics),
                scores.panels(boards),
                element(
                    "p",
                    "Small figures mark the best three of a class, among all methods; diagnostics "
                    "have none, they only say where to look. Press a head to sort.",
                    class_="about",
                ),
            ],
        )
    if grids := gallery.grids(run, album):
        yield "images", "Images", [_picture_notes(album), grids]
    if cases := gallery.cases(run, album):
        shown = {case.measure for case in album.cases}
        labels = {name: metric_row(name).label for name in ranked if name in shown}
        notes = [_measure_note(name, album) for name in labels]
        choices = _choices("Measure", "measure", labels)
        yield "extremes", "Worst and best", [choices, notes, cases]
    if compared := differences.comparisons(run):
        yield "differences", "Differences", compared
    if (costs := provenance.costs(run)) is not None:
        yield "cost", "Cost", costs
    yield "failures", f"Failures ({len(run.failures):,})", provenance.failures(run)
    yield "origins", "Origins", [provenance.origins(run), provenance.settings(run)]


def _section(anchor: str, title: str, content: Child) -> Html:
    return element(
        "section",
        element("h2", title, id=f"{anchor}-title"),
        content,
        id=anchor,
        aria_labelledby=f"{anchor}-title",
    )


def _picture_notes(album: Album) -> Html:
    left = album.left_out_rows
    return element(
        "p",
        "Portraits spread evenly over the data set. Press an image to enlarge it; hold ",
        element("kbd", "O"),
        " to see the originals in place of all predictions, press ",
        element("kbd", "M"),
        " for a magnifier that follows the pointer in all images of a row.",
        f" {counted(left, 'row')} did not fit the page's size limit." if left else None,
        class_="about",
    )


def _measure_note(name: str, album: Album) -> Html:
    measure = metric_row(name)
    left = album.left_out_cases
    return element(
        "p",
        element("b", measure.label),
        f": {measure.meaning}; {measure.arrow} {measure.better} is better.",
        f" {counted(left, 'prediction')} of all measures did not fit the page's size limit."
        if left
        else None,
        class_="about",
        data_measure=name,
    )


def _choices(legend: str, name: str, options: Mapping[str, str]) -> Html:
    """A row of radio buttons, the first one on."""
    buttons = [
        _choice("radio", name, value, label, index == 0)
        for index, (value, label) in enumerate(options.items())
    ]
    return element("fieldset", element("legend", legend), buttons, class_="choices")


def _choice(kind: str, name: str, value: str, label: Child, checked: bool) -> Html:
    box = element("input", type=kind, name=name, value=value, checked=checked, autocomplete="off")
    return element("label", box, element("span", label))


def _select(name: str, everything: str | None, options: Mapping[str, str]) -> Html:
    first = [element("option", everything, value="")] if everything is not None else []
    rest = [element("option", label, value=value) for value, label in options.items()]
    return element("select", first, rest, name=name, aria_label=f"Shown {name}", autocomplete="off")


def _button(name: str, label: str, key: str, pressed: bool | None = None) -> Html:
    return element(
        "button",
        label,
        element("kbd", key),
        type="button",
        id=name,
        aria_keyshortcuts=key,
        aria_pressed=None if pressed is None else str(pressed).lower(),
    )


def _as_script_data(images: Mapping[str, str]) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(images, ensure_ascii=True, separators=(",\n", ":")).replace("<", "\\u003c")


def _resource(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")
