"""Fixtures for the checkpoint tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that hostile checkpoints try to make; it must never exist."""
    return tmp_path / "marker"
