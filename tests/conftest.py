"""Options and marks that every test shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")
    parity = parser.getgroup("parity", "parity fixtures")
    # pytest has a --fixtures of its own (a listing); it keeps the other name, --funcargs.
    parity._arggroup.conflict_handler = "resolve"
    parity.addoption(
        "--fixtures",
        type=Path,
        metavar="FOLDER",
        help="parity fixtures (FOLDER/NAME/cases*.npz) to run instead of the bundled ones",
    )
    parity.addoption("--salt", default="", help="salt of the made-up weights behind those fixtures")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    without = {}
    if not config.getoption("--slow"):
        without["slow"] = "slow: run with --slow or `make test-all`"
    if any("cuda" in item.keywords for item in items) and not _has_cuda():
        without["cuda"] = "no CUDA device on this machine"
    for item in items:
        for mark in without.keys() & item.keywords.keys():
            item.add_marker(pytest.mark.skip(reason=without[mark]))


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def official_lama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint of LaMa in the form that its authors publish."""
    from tests.official import write_lama

    return write_lama(tmp_path_factory.mktemp("official") / "best.ckpt")


@pytest.fixture
def usual_metrics() -> Iterator[None]:
    """Forget, at the end, the metrics that a test registers."""
    from facemask_inpaint.metrics import METRICS

    before = dict(METRICS)
    yield
    METRICS.clear()
    METRICS.update(before)
