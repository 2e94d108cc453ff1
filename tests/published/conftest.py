"""The stand-in for the web, and cards that expect replicas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from facemask_inpaint.models import Card, _cards
from tests.checkpoints.hub_server import Site, serving


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A hub and web server on this machine that sends large files on, as the real ones do."""
    with serving(tmp_path, monkeypatch) as site:
        site.redirects = True
        yield site


@pytest.fixture
def expect(monkeypatch: pytest.MonkeyPatch) -> Callable[[Card], None]:
    """Puts a card in the place of the one with its name."""
    names = dict(_cards._by_name())
    monkeypatch.setattr(_cards, "_by_name", lambda: names)

    def put(card: Card) -> None:
        names.update({name: card for name, one in names.items() if one.name == card.name})

    return put
