"""Fixtures for the checkpoint tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkpoints.hub_server import Site, serving


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that hostile checkpoints try to make; it must never exist."""
    return tmp_path / "marker"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A hub and web server on this machine; the hub client and our caches point to it."""
    with serving(tmp_path, monkeypatch) as site:
        yield site
