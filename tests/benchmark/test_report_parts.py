"""The parts that the page of a run is made of: choice of images, templates, plots, colours."""

from __future__ import annotations

import re
from importlib.resources import files

import numpy as np
import pytest

from facemask_inpaint.benchmark.metrics import metric_row
from facemask_inpaint.benchmark.report import Selection
from facemask_inpaint.benchmark.report.format import fixed
from facemask_inpaint.benchmark.report.page import environment
from facemask_inpaint.benchmark.report.plots import COLOURS, Point, Scale
from facemask_inpaint.benchmark.report.scores import Board
from facemask_inpaint.benchmark.report.selection import cross_section, extremes, spread
from facemask_inpaint.benchmark.report.warnings import gathered, spanning
from facemask_inpaint.benchmark.store.records import CaseRecord, Score
from facemask_inpaint.errors import OptionError


def _record(key: str, method: str = "m", **metrics: float) -> CaseRecord:
    return CaseRecord(method, "nose", 64, key, 0.1, metrics)


class TestChoosing:
    @pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 100])
    def test_spread_keeps_all_and_covers_evenly(self, count: int) -> None:
        keys = list(range(count))
        found = spread(keys)
        assert sorted(found) == keys
        if count == 100:
            assert max(np.diff(sorted(found[:8]))) <= 20

    def test_classes_take_turns(self) -> None:
        records = [
            CaseRecord("m", name, 64, key, 0.1, {})
            for name in ("nose", "hair")
            for key in ("a", "b", "c", "d")
            if (name, key) != ("hair", "a")
        ]
        rows = cross_section(records, "abcd", [(64, "nose"), (64, "hair")], 2)
        assert [(row.mask_class, row.key) for row in rows] == [
            ("nose", "a"),
            ("hair", "c"),
            ("nose", "c"),
            ("hair", "b"),
        ]

    def test_extremes_follow_the_direction(self) -> None:
        records = [_record("a", seam=3, psnr_hole=10), _record("b", seam=1, psnr_hole=30)]
        records.append(_record("c", seam=2))
        found = extremes(records, [(64, "nose")], ["m"], {"seam": True, "psnr_hole": False}, 1)
        assert [(one.end, one.metric, one.case.key) for one in found] == [
            ("worst", "seam", "a"),
            ("worst", "psnr_hole", "a"),
            ("best", "seam", "b"),
            ("best", "psnr_hole", "b"),
        ]

    @pytest.mark.parametrize(
        "wrong", [{"rows": -1}, {"extremes": -1}, {"image_size": 8}, {"megabytes": -1}]
    )
    def test_selection_refuses(self, wrong: dict[str, int]) -> None:
        with pytest.raises(OptionError):
            Selection(**wrong)


class TestContrast:
    """Ratios of WCAG 2.2: 4.5 for text, 3 for marks and the edges of controls."""

    @pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
    @pytest.mark.parametrize(
        ("front", "back", "least"),
        [
            *((text, ground, 4.5) for text in ("ink", "muted") for ground in ("paper", "care")),
            ("muted", "raised", 4.5),
            ("accent", "paper", 4.5),
            ("control", "paper", 3.0),
            *((f"method-{index}", "paper", 3.0) for index in range(COLOURS)),
        ],
    )
    def test_reaches(self, front: str, back: str, least: float, scheme: int) -> None:
        light, dark = sorted(_luminance(_token(name)[scheme]) for name in (front, back))[::-1]
        assert (light + 0.05) / (dark + 0.05) >= least


def _token(name: str) -> list[str]:
    """Light and dark value of a colour of the style sheet."""
    style = (files("facemask_inpaint.benchmark.report") / "templates" / "style.css").read_text(
        encoding="utf-8"
    )
    found = re.search(rf"--{name}: light-dark\(#(\w{{6}}), #(\w{{6}})\)", style)
    assert found, name
    return list(found.groups())


def _luminance(colour: str) -> float:
    """Relative luminance of an sRGB colour."""
    samples = np.frombuffer(bytes.fromhex(colour), np.uint8) / 255
    linear = np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


class TestParts:
    def test_text_is_escaped_in_every_template(self) -> None:
        macros = environment().get_template("macros.html").module
        head = str(macros.head('<b> & "quoted"', index=0))
        assert "<b>" not in head
        assert 'data-method="&lt;b&gt; &amp; &#34;quoted&#34;"' in head
        assert head.count("<svg") == 1  # markup of other macros is kept
        assert all(
            environment().get_template(name) for name in environment().list_templates(["html"])
        )

    @pytest.mark.parametrize(
        ("values", "ticks"),
        [
            ([0.0, 10.0], [0, 5, 10]),
            ([0.12, 0.31], [0.15, 0.2, 0.25, 0.3]),
            ([1.0, 1000.0], [1, 3, 10, 30, 100, 300, 1000]),
        ],
    )
    def test_scale(self, values: list[float], ticks: list[float]) -> None:
        scale = Scale.of(values)
        assert set(scale.ticks()) <= set(ticks)
        assert len(scale.ticks()) >= 3
        places = [scale.position(tick) for tick in scale.ticks()]
        assert places == sorted(places)
        assert scale.position(values[0]) == pytest.approx(4)
        assert scale.position(values[1]) == pytest.approx(96)

    def test_scale_of_one_value_and_of_both_signs(self) -> None:
        assert Scale.of([5.0]).position(5.0) == pytest.approx(50)
        signed = Scale.signed([-200.0, -0.5, 0.2, 3.0])
        assert signed.position(0) == pytest.approx(50)
        assert signed.position(1) - 50 == pytest.approx(50 - signed.position(-1))
        assert signed.position(1) > 53  # small differences stay visible beside large ones
        assert signed.ticks() == [-100, -10, 0, 10, 100]

    def test_strip_draws_intervals_where_there_are_any(self) -> None:
        points = [Point(0, "a", 2.0, 1.0, 3.0, "a 2"), None, Point(1, "b", 4.0, None, None, "b 4")]
        plots = environment().get_template("plots.html").module
        drawn = str(plots.strip(points, Scale(0, 10)))
        assert [float(y) for y in re.findall(r'<svg x="[^"]*" y="([^"]*)"', drawn)] == [9.5, 35.5]
        assert drawn.count("whisker") == 1
        assert 'x1="13.20%" x2="31.60%"' in drawn
        assert 'aria-label="a 2; b 4"' in drawn

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (0.0, "0"),
            (0.0004, "<0.001"),
            (-0.0004, ">\N{MINUS SIGN}0.001"),
            (-2.5, "\N{MINUS SIGN}2.500"),
        ],
    )
    def test_no_number_is_shown_as_zero_that_is_not(self, value: float, expected: str) -> None:
        assert fixed(value, 3) == expected

    def test_small_scores_keep_their_digits_beside_large_ones(self) -> None:
        values = {"a": 0.0213, "b": 40.0}
        scores = {
            ("nose", name): Score(name, "nose", 64, "fid", v, 9) for name, v in values.items()
        }
        board = Board(64, metric_row("fid"), (), {"a": 0, "b": 1}, scores)
        assert fixed(values["a"], board.digits("nose")) == "0.021"

    def test_warnings_merge_when_only_numbers_differ(self) -> None:
        def score(text: str) -> Score:
            return Score("m", "nose", 64, "fid", 1.0, 3, warnings=(text,))

        texts = ["3 images for 64", "1,200 images for 64", "something else"]
        found = gathered(score(text) for text in texts)
        assert [spanning(warning.texts) for warning in found] == [
            "3\N{EN DASH}1,200 images for 64",
            "something else",
        ]
