from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
from torch import Tensor

from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.models.cmt import CMT
from tests.parity.adapter import Adapter, Answer
from tests.parity.cases import Case


class NetworkAdapter(Adapter):
    """Official answers are blue, green, red; both coarse pictures count as well."""

    architecture = "cmt"
    rounding = staticmethod(np.rint)

    def slow(self, case: Case) -> bool:
        return case.index > 0

    def official(self, answer: np.ndarray) -> np.ndarray:
        return answer[::-1]

    def levels(self, raw: np.ndarray) -> np.ndarray:
        return super().levels(raw[::-1])

    def answers(self, network: InpaintingNetwork, case: Case) -> Iterator[Answer]:
        coarse: list[Tensor] = []
        hook = cast(CMT, network).coarse.register_forward_hook(lambda *call: coarse.extend(call[2]))
        yield from super().answers(network, case)
        hook.remove()
        names = ("coarse32_regular", "coarse32_overlapped")
        for name, picture, expected in zip(names, coarse, case.arrays["raw_coarse32"]):
            yield self.compare(name, picture[0].numpy(), expected)
