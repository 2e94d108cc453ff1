"""One adapter per network, found by the name of its fixture folder.

To put a network under the suite: write ``<fixture folder>.py`` here with a subclass of
:class:`tests.parity.adapter.Adapter` called ``NetworkAdapter``, and bundle its fixtures with
``python -m tests.parity.bundle``.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from tests.parity.adapter import Adapter


def names() -> list[str]:
    """Fixture folders that have an adapter."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def adapter(network: str) -> Adapter:
    """The adapter of a fixture folder."""
    module = importlib.import_module(f"{__name__}.{network}")
    return module.NetworkAdapter()
