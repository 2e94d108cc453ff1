from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from einops import rearrange

from facemask_inpaint.models import InpaintingNetwork
from tests.parity.adapter import Adapter, Answer
from tests.parity.cases import Case

MEAN = np.float32([0.485, 0.456, 0.406]).reshape(3, 1, 1)
STD = np.float32([0.229, 0.224, 0.225]).reshape(3, 1, 1)


class NetworkAdapter(Adapter):
    """Official answers are standardised with ImageNet's statistics; both first stages count."""

    architecture = "madf"
    prefix = "module.model."

    def official(self, answer: np.ndarray) -> np.ndarray:
        return ((answer + 1) / 2 - MEAN) / STD

    def levels(self, raw: np.ndarray) -> np.ndarray:
        rounded = np.clip(np.floor((raw * STD + MEAN) * 255 + 0.5), 0, 255)
        return rearrange(rounded, "c h w -> h w c").astype(int)

    def answers(self, network: InpaintingNetwork, case: Case) -> Iterator[Answer]:
        yield from super().answers(network, case)
        image, mask = self.inputs(case)
        for i, picture in enumerate(network.stages(image * (1 - mask), mask)[:-1]):
            name = f"raw_out{i}_32"
            raw = self.official(picture[0].numpy())
            yield self.compare(name, raw, case.arrays[name], self.offset)
