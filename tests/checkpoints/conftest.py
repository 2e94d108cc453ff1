"""Fixtures for the checkpoint tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from facemask_inpaint.checkpoints import transfer
from tests.checkpoints.hub_server import Server, Site


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that hostile checkpoints try to make; it must never exist."""
    return tmp_path / "marker"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A hub and web server on this machine; the hub client and our caches point to it."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FACEMASK_INPAINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FACEMASK_INPAINT_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(transfer, "BACKOFF_SECONDS", 0.01)
    with Server() as site:
        # Read from HF_ENDPOINT on import; a test in a fresh process sets the variable itself.
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, site.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", site.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
        yield site
