"""Pairs of methods: differences of FID with intervals and tests, and who wins how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from facemask_inpaint.benchmark.report.format import MINUS, fixed, lettered, share
from facemask_inpaint.benchmark.report.markup import Html, element
from facemask_inpaint.benchmark.report.plots import Point, Scale, axis, marker, strip
from facemask_inpaint.benchmark.report.sortable import Head, table
from facemask_inpaint.benchmark.report.text_tables import decimals
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.metrics.comparison.results import EXCHANGE_TEST, p_text

LEVEL = 0.05
"""Adjusted p-values below this count as a difference."""

Difference = Mapping[str, Any]
"""One of ``Comparison.to_dict()["differences"]``."""

_NUMBERS = ("corrected", "low", "high", "p_adjusted")


def comparisons(run: Run) -> list[Html]:
    """Per resolution a table of wins, and one of all differences."""
    return [
        element(
            "div",
            _wins(run, resolution, found, compared["adjustment"]),
            _details(run, resolution, found, compared),
            data_resolution=resolution,
        )
        for resolution, compared in run.comparison.items()
        if (found := _defined(run, compared.get("differences", ())))
    ]


def winner(difference: Difference) -> str | None:
    """The method with the clearly smaller FID; ``None`` where the test sees no difference."""
    if difference["p_adjusted"] >= LEVEL:
        return None
    return difference["second"] if difference["corrected"] > 0 else difference["first"]


def _defined(run: Run, differences: Sequence[Difference]) -> list[Difference]:
    """Differences with all their numbers, in the order of the run's classes."""
    order = {entry.name: index for index, entry in enumerate(run.classes)}
    whole = [one for one in differences if all(one[name] is not None for name in _NUMBERS)]
    return sorted(whole, key=lambda one: order[one["group"]])


def _wins(run: Run, resolution: int, differences: Sequence[Difference], adjustment: str) -> Html:
    beaten = Counter(
        (won, one["first"] if won == one["second"] else one["second"])
        for one in differences
        if (won := winner(one)) is not None
    )
    compared = Counter(frozenset((one["first"], one["second"])) for one in differences)
    methods = {entry.name: index for index, entry in enumerate(run.methods)}
    heads = [
        Head("is better than →"),
        *(Head([marker(i), name], numeric=True, method=name) for name, i in methods.items()),
    ]
    rows = [
        element(
            "tr",
            element("th", marker(index), name, scope="row"),
            [
                _count(beaten[name, other], compared[frozenset((name, other))], other)
                for other in methods
            ],
            data_method=name,
        )
        for name, index in methods.items()
    ]
    caption = (
        f"In how many classes the method of the line has the smaller FID at {resolution} px, "
        f"adjusted p < {LEVEL} ({adjustment})"
    )
    return table(heads, rows, caption=caption, shown=True)


def _count(won: int, compared: int, other: str) -> Html:
    if not compared:
        return element("td", "·", class_="number none", data_method=other)
    return element(
        "td",
        element("span", won, class_="value"),
        element("small", f"of {compared}"),
        class_="number tally",
        style=share(won, compared),
        data_method=other,
    )


def _details(
    run: Run, resolution: int, differences: Sequence[Difference], compared: Mapping[str, Any]
) -> Html:
    numbers = [one[name] for one in differences for name in ("corrected", "low", "high")]
    scale, digits = Scale.signed(numbers), max(2, decimals(numbers))
    heads = [
        Head("class", sortable=True),
        Head("methods", sortable=True),
        Head("n", sortable=True, numeric=True),
        Head([axis(scale)], spoken="plot"),
        Head("difference of FID", sortable=True, numeric=True),
        Head("adjusted p", sortable=True, numeric=True),
        Head("better", sortable=True),
    ]
    smallest = compared["smallest_p_adjusted"]
    rows = [_difference_row(run, one, scale, digits, smallest) for one in differences]
    return element(
        "details",
        element("summary", f"All {len(rows)} differences at {resolution} px"),
        element(
            "p",
            "Differences are corrected for their small-sample bias. Left of 0 the first method is "
            "better, right of it the second; the mark is the better one's. Lines are 95 % "
            "intervals; the scale is linear near 0 and logarithmic beyond. The better one is named "
            f"where the adjusted p < {LEVEL}. p: {EXCHANGE_TEST}; adjusted: "
            f"{compared['adjustment']}; ≤ marks the smallest p that the number of exchanges "
            "allows.",
            class_="about",
        ),
        table(heads, rows, caption=f"Differences of FID at {resolution} px"),
    )


def _difference_row(run: Run, one: Difference, scale: Scale, digits: int, smallest: float) -> Html:
    entry = next(entry for entry in run.classes if entry.name == one["group"])
    methods = {entry.name: index for index, entry in enumerate(run.methods)}
    value = one["corrected"]
    ahead = one["second"] if value > 0 else one["first"]
    interval = f"[{fixed(one['low'], digits)}, {fixed(one['high'], digits)}]"
    pair = f"{one['first']} {MINUS} {one['second']}"
    title = f"{pair}: {fixed(value, digits)} {interval}"
    point = Point(methods.get(ahead, 0), ahead, value, one["low"], one["high"], title)
    won = winner(one)
    return element(
        "tr",
        element("th", lettered(entry), scope="row", data_value=f"{entry.letter} {entry.name}"),
        element("td", pair),
        element("td", one["n"], class_="number", data_value=one["n"]),
        element("td", strip([point], scale, reference=0.0), class_="plot"),
        element(
            "td",
            element("span", fixed(value, digits), class_="value"),
            element("small", interval),
            class_="number",
            data_value=repr(value),
        ),
        element(
            "td",
            p_text(one["p_adjusted"], smallest),
            class_="number",
            data_value=one["p_adjusted"],
        ),
        element("td", won or "neither", class_=None if won else "none"),
        data_class=entry.name,
        data_first=one["first"],
        data_second=one["second"],
    )
