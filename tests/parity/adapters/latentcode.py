from __future__ import annotations

import json
import lzma
import zlib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.models.latentcode import VQGAN, LatentCode
from tests.parity import recipe
from tests.parity.adapter import Adapter, Answer
from tests.parity.cases import Case

VQGAN_FILE = "celeba_vqgan.ckpt::"


class NetworkAdapter(Adapter):
    """Four files; case 0 takes the likeliest codes, the others follow draws from a seed.

    Every stage is compared from the recorded answer of the one before it, then the whole.
    """

    architecture = "latentcode"
    rounding = staticmethod(np.rint)

    def slow(self, case: Case) -> bool:
        return case.archive.name == "cases.npz"

    def options(self, case: Case) -> dict[str, Any]:
        return {"heads": 16 if case.archive.name == "cases.npz" else 4}

    def tensors(self, case: Case) -> dict[str, Tensor]:
        return {
            key.removeprefix("celeba_").replace(".ckpt::", "/"): tensor
            for key, tensor in super().tensors(case).items()
        }

    def latents(self, case: Case, spec: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
        race = np.ones(spec["race"], dtype=np.float32)
        if case.index > 0:
            seed = zlib.crc32(f"{case.salt}latentcode:{case.index}".encode())
            race[:] = np.random.RandomState(seed).standard_exponential(race.shape)
        return {"race": torch.from_numpy(race)}

    def answers(self, network: InpaintingNetwork, case: Case) -> Iterator[Answer]:
        latentcode = cast(LatentCode, network)
        yield from self._encoder(latentcode, case)
        yield from self._transformer(latentcode, case)
        yield from self._composer(latentcode, case)
        yield from super().answers(network, case)
        yield from self._vqgan(case)

    def _encoder(self, network: LatentCode, case: Case) -> Iterator[Answer]:
        image, hole = self.inputs(case)
        scores, clear = network.encoder(image * (1 - hole), hole)
        codes = torch.where(clear[:, 0] > 0, scores.argmax(1), -1)
        yield self.compare("enc_logits", scores[0, ::16].numpy(), case.arrays["enc_logits"])
        yield equal("mask_out", clear[0, 0], case.arrays["mask_out"])
        yield equal("codes_known", codes.flatten(), case.arrays["codes_known"])

    def _transformer(self, network: LatentCode, case: Case) -> Iterator[Answer]:
        """Scores of the first round, who was filled when, and with what."""
        rounds: list[tuple[Tensor, Tensor]] = []
        hook = network.transformer.register_forward_hook(
            lambda module, inputs, logits: rounds.append((inputs[1][0], logits[0]))
        )
        codes, clear = recorded(case, "codes_known"), recorded(case, "mask_out").float()
        race = self.latents(case, network.latent_spec(1, 256, 256))["race"]
        completed = network.complete(codes, clear[None], race)
        hook.remove()
        # Theirs has one row and one column more, which nobody looks at.
        ours, expected = rounds[0][1][15::16, 3::4].numpy(), case.arrays["gpt_logits"][1:, 1:]
        yield Answer("gpt_logits", ours, expected, self.tolerance)
        known = [known for known, _ in rounds] + [torch.ones(256, dtype=torch.bool)]
        filled = [after & ~before for before, after in pairwise(known)]
        steps = torch.stack([cells.sum() for cells in filled])
        yield equal("tokens_per_step", steps, case.arrays["tokens_per_step"])
        borders = np.cumsum(case.arrays["tokens_per_step"])[:-1]
        order = [np.sort(cells) for cells in np.split(case.arrays["order"], borders)]
        yield equal("order", torch.cat([c.nonzero()[:, 0] for c in filled]), np.concatenate(order))
        yield equal("codes_complete", completed.flatten(), case.arrays["codes_complete"])

    def _composer(self, network: LatentCode, case: Case) -> Iterator[Answer]:
        image, hole = self.inputs(case)
        codes, clear = recorded(case, "codes_complete"), recorded(case, "mask_out").float()
        composed = network.compose(image * (1 - hole), hole, codes, clear[None])[0].numpy()
        for name in ("dec32", "dec"):
            if name in case.arrays:
                yield self.compare(name, composed, case.arrays[name])

    def _vqgan(self, case: Case) -> Iterator[Answer]:
        if "vq_codes" not in case.arrays:
            return
        tensors = vqgan_tensors(case, self.manifest(case))
        vqgan = VQGAN(**VQGAN.official_options(tensors)).eval()
        vqgan.load_state_dict(VQGAN.translate_official(tensors))
        codes = vqgan.encode(self.inputs(case)[0])
        yield equal("vq_codes", codes.flatten(), case.arrays["vq_codes"])
        if "vq_rec" in case.arrays:
            yield self.compare("vq_rec", vqgan.decode(codes)[0].numpy(), case.arrays["vq_rec"])


def vqgan_tensors(case: Case, manifest: str) -> dict[str, Tensor]:
    """Tensors of the VQGAN's file alone; those of all files would fill the memory twice."""
    packed = recipe.manifest_path(case.network, manifest).read_bytes()
    return {
        key.removeprefix(VQGAN_FILE): torch.from_numpy(
            recipe.fill_tensor(key, entry["shape"], entry["fill"], case.salt)
        )
        for key, entry in json.loads(lzma.decompress(packed))["tensors"].items()
        if key.startswith(VQGAN_FILE)
    }


def recorded(case: Case, name: str) -> Tensor:
    """A recorded map of the latent grid, ``(1, 16, 16)``."""
    return torch.from_numpy(case.arrays[name].astype(np.int64)).reshape(1, 16, 16)


def equal(name: str, ours: Tensor, expected: np.ndarray) -> Answer:
    """Whole numbers, which must be the same."""
    return Answer(name, ours.numpy(), expected, 0)
