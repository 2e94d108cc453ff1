from __future__ import annotations

from collections.abc import Iterator

from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.models.tformer import TransformerBlock
from tests.parity.adapter import Adapter, Answer
from tests.parity.cases import Case


class NetworkAdapter(Adapter):
    """Official range and sizes are this library's own; the older block's answers count as well."""

    architecture = "tformer"
    prefix = "module."

    def slow(self, case: Case) -> bool:
        return case.index > 0

    def answers(self, network: InpaintingNetwork, case: Case) -> Iterator[Answer]:
        yield from super().answers(network, case)
        blocks = [part for part in network.modules() if isinstance(part, TransformerBlock)]
        for block in blocks:
            block.outer_residual = True
        raw = self.run(network, case)
        for block in blocks:
            block.outer_residual = False
        name = "raw32_outer_residual"
        yield self.compare(name, raw, case.arrays[name], self.offset)
