"""A benchmark within a program that has set something of its own."""

from __future__ import annotations

from pathlib import Path

from facemask_inpaint.metrics import FeatureReader
from facemask_inpaint.metrics.features.random_convolutions import random_convolutions
from tests.internal.test_torch_state import host, state

from .runs import portraits, results, small_run


def test_results_do_not_depend_on_the_host(tmp_path: Path) -> None:
    def go(name: str) -> dict[str, bytes]:
        reader = FeatureReader(random_convolutions("cpu"))
        out = tmp_path / name
        small_run(["harmonic"], out, portraits(4), classes="eyes", reader=reader)
        return results(out)

    expected = go("nothing")
    for kind in ("float64", "device", "autocast", "inference_mode"):
        with host(kind):
            before = state()
            assert go(kind) == expected, kind
            assert state() == before
