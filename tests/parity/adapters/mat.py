from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import numpy as np
import torch
from torch import Tensor

from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.models.mat import MAT
from tests.parity import recipe
from tests.parity.adapter import Adapter, Answer
from tests.parity.cases import Case


class NetworkAdapter(Adapter):
    """Both sizes share one archive; keep masks are packed bits, and noise follows from a seed."""

    architecture = "mat"
    rounding = staticmethod(np.rint)
    offset = 3

    def manifest(self, case: Case) -> str:
        return "manifest.json" if case.arrays["net"] == 512 else "manifest.256.json"

    def latents(self, case: Case, spec: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
        return {name: torch.from_numpy(_draw(case, name, shape)) for name, shape in spec.items()}

    def answers(self, network: InpaintingNetwork, case: Case) -> Iterator[Answer]:
        mat = cast(MAT, network)
        mat.noise_mode = case.arrays["noise_mode"].item()
        mat.truncation = float(case.arrays["truncation_psi"])
        coarse: list[Tensor] = []
        hook = mat.coarse.register_forward_hook(lambda *call: coarse.append(call[-1]))
        yield from super().answers(mat, case)
        hook.remove()
        expected = case.arrays["stage1_32"]
        yield self.compare("stage1_32", coarse[0][0].numpy(), expected, self.offset)


def _draw(case: Case, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.startswith("keep"):
        bits = np.unpackbits(case.arrays[name], count=int(np.prod(shape)))
        return bits.reshape(shape).astype(np.float32)
    if name.startswith("noise_"):
        number = name.removeprefix("noise_")
        key = f"noise:{case.arrays['seed']}:{number}"
        return recipe.fill_tensor(key, list(shape), "normal:1", case.salt)
    return case.arrays[name]
