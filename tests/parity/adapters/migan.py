from __future__ import annotations

from tests.parity.adapter import Adapter


class NetworkAdapter(Adapter):
    """Answers are float16 only; the crop-and-blend pipeline belongs to the inpainter."""

    architecture = "migan"
    ignored_archives = frozenset({"cases.pipeline.npz"})
