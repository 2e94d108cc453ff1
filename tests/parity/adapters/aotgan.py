from __future__ import annotations

from tests.parity.adapter import Adapter


class NetworkAdapter(Adapter):
    """Official range and sizes are this library's own."""

    architecture = "aotgan"
