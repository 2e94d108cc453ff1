"""One network in memory at a time."""

from __future__ import annotations

import gc

from facemask_inpaint.models import InpaintingNetwork
from tests.parity import adapters
from tests.parity.cases import Case


class Networks:
    """Builds networks, and holds on to the last one only: the big ones fill the memory."""

    def __init__(self) -> None:
        self._key: object = None
        self._network: InpaintingNetwork | None = None

    def of(self, case: Case) -> InpaintingNetwork:
        """Network of a case, reused as long as weights and options stay the same."""
        adapter = adapters.adapter(case.network)
        key = (case.network, adapter.manifest(case), case.salt, adapter.options(case))
        if self._network is None or key != self._key:
            self.free()
            self._network, self._key = adapter.build(case), key
        return self._network

    def free(self) -> None:
        """Let go of the network."""
        self._key = self._network = None
        gc.collect()
