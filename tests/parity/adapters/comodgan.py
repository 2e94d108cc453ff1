from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.models.comodgan import CoModGAN
from tests.parity.adapter import Adapter, Answer
from tests.parity.cases import Case


class NetworkAdapter(Adapter):
    """Answers are float16 only; the first case has some without noise and with dropout as well."""

    architecture = "comodgan"

    def answers(self, network: InpaintingNetwork, case: Case) -> Iterator[Answer]:
        comodgan = cast(CoModGAN, network)
        comodgan.truncation = float(case.arrays["psi"])
        yield from super().answers(comodgan, case)
        yield from self._variants(comodgan, case)

    def _variants(self, network: CoModGAN, case: Case) -> Iterator[Answer]:
        if "raw_nonoise_sub4" in case.arrays:
            network.noise_mode = "none"
            raw = self.run(network, case)
            network.noise_mode = "const"
            yield self.compare("raw_nonoise", raw, case.arrays["raw_nonoise_sub4"])
        if "raw_dropout_sub4" in case.arrays:
            network.code_dropout = True
            raw = self.run(network, case)
            network.code_dropout = False
            yield self.compare("raw_dropout", raw, case.arrays["raw_dropout_sub4"])
