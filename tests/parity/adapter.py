"""How one network's fixture cases map to this library: the base that each adapter refines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from facemask_inpaint.models import InpaintingNetwork, _registry
from tests.parity import cases, recipe
from tests.parity.cases import Case


@dataclass(frozen=True)
class Answer:
    """One array of ours beside the official one."""

    name: str
    ours: np.ndarray
    expected: np.ndarray
    tolerance: float

    @property
    def difference(self) -> float:
        """Largest absolute difference.

        A float16 answer stands for all numbers that round to it, so there the distance to that
        interval counts: with enough samples it comes close to the true difference.
        """
        ours, expected = self.ours.astype(np.float64), self.expected.astype(np.float64)
        if self.expected.dtype != np.float16:
            return float(np.abs(ours - expected).max())
        below = (expected + np.nextafter(self.expected, np.float16(-np.inf))) / 2
        above = (expected + np.nextafter(self.expected, np.float16(np.inf))) / 2
        return float(np.maximum(below - ours, ours - above).max().clip(0))


class Levels(Answer):
    """8-bit pictures, compared inside the hole."""

    @property
    def difference(self) -> float:
        """Share of samples that differ by one level; infinite if any differs by more."""
        apart = np.abs(self.ours.astype(int) - self.expected.astype(int))
        return float(apart.mean()) if apart.max(initial=0) <= 1 else float("inf")


class Adapter:
    """Base of all adapters; what is below fits a network with ``image``, ``mask`` and ``raw``.

    A network's adapter is the class ``NetworkAdapter`` in ``adapters/<fixture folder>.py``. It
    sets the attributes, and overrides only the methods in which its fixture is special.

    Attributes:
        architecture: name in the registry.
        prefix: in front of every official key; cut off before loading.
        ignored_archives: ``cases*.npz`` files that are no raw network answers.
        low: lower end of the official output range, whose upper end is 1.
        rounding: how the official post-processing turns a level 0…255 into a whole number.
        offset: first row and column of the ``raw32`` subsample.
        tolerance: bar for raw float32 answers.
    """

    architecture: str
    prefix = ""
    ignored_archives: frozenset[str] = frozenset()
    low = -1.0
    rounding = staticmethod(np.trunc)
    offset = 0
    tolerance = 1e-4

    def cases(self, archive: Path, salt: str) -> list[Case]:
        """Cases to run of one archive."""
        network = archive.parent.name
        return [Case(network, archive, index, salt) for index in cases.indices(archive)]

    def slow(self, case: Case) -> bool:
        """Whether the case takes so long that the everyday suite leaves it out."""
        return False

    def manifest(self, case: Case) -> str:
        """Manifest of the weights: by default ``manifest.X.json`` for ``cases.X.npz``."""
        parts = case.archive.name.split(".")[1:-1]
        while parts and not recipe.manifest_path(case.network, _manifest(parts)).exists():
            parts.pop()
        return _manifest(parts)

    def options(self, case: Case) -> dict[str, Any]:
        """Constructor arguments that the tensors do not tell; other options, another network."""
        return {}

    def tensors(self, case: Case) -> dict[str, Tensor]:
        """Tensors under the official keys, as ``from_official`` takes them."""
        made = recipe.official_tensors(case.network, self.manifest(case), case.salt)
        return {key.removeprefix(self.prefix): value for key, value in made.items()}

    def build(self, case: Case) -> InpaintingNetwork:
        """The network of a case; cases of equal manifest and options share one."""
        return _registry.from_official(self.architecture, self.tensors(case), **self.options(case))

    def inputs(self, case: Case) -> tuple[Tensor, Tensor]:
        """Picture ``(1, 3, H, W)`` in [-1, 1] and mask ``(1, 1, H, W)``, 1 = hole."""
        picture, hole = case.arrays["image"], case.arrays["mask"] > 127
        image = torch.from_numpy(picture.astype(np.float32) * 2 / 255 - 1)
        mask = torch.from_numpy(hole.astype(np.float32))
        return rearrange(image, "h w c -> 1 c h w"), rearrange(mask, "h w -> 1 1 h w")

    def latents(self, case: Case, spec: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
        """Random draws: the archive's arrays of the same names as those in ``latent_spec``."""
        return {name: torch.from_numpy(case.arrays[name]).reshape(spec[name]) for name in spec}

    def run(self, network: InpaintingNetwork, case: Case) -> np.ndarray:
        """The network's answer in the official range, ``(3, H, W)`` float32 of the case's size."""
        image, mask = self.inputs(case)
        latents = self.latents(case, network.latent_spec(1, *image.shape[2:]))
        h, w = case.arrays["mask"].shape
        return self.official(network(image, mask, latents=latents)[0, :, :h, :w].numpy())

    def official(self, answer: np.ndarray) -> np.ndarray:
        """From this library's range [-1, 1] to the official one."""
        return (answer + 1) / 2 * (1 - self.low) + self.low if self.low != -1 else answer

    def levels(self, raw: np.ndarray) -> np.ndarray:
        """8-bit picture ``(H, W, 3)`` that the official code makes of its raw answer."""
        unit = (raw - np.float32(self.low)) / np.float32(1 - self.low)
        return rearrange(self.rounding(np.clip(unit * 255, 0, 255)), "c h w -> h w c").astype(int)

    def answers(self, network: InpaintingNetwork, case: Case) -> Iterator[Answer]:
        """Everything to compare. Overrides add to it: ``yield from super().answers(...)``."""
        raw = self.run(network, case)
        if "raw32" in case.arrays:
            yield self.compare("raw32", raw, case.arrays["raw32"], self.offset)
        if "raw" in case.arrays:
            yield self.compare("raw", raw, case.arrays["raw"])
        if "composited" in case.arrays:
            yield self.compare_levels("composited", self.levels(raw), case)

    def compare(self, name: str, ours: np.ndarray, expected: np.ndarray, offset: int = 0) -> Answer:
        """Compare a whole ``(3, H, W)`` array with a subsample in either layout."""
        if expected.shape[-1] == 3:
            expected = rearrange(expected, "h w c -> c h w")
        return Answer(name, subsample(ours, expected.shape, offset), expected, self.tolerance)

    def compare_levels(self, name: str, ours: np.ndarray, case: Case) -> Levels:
        """Compare 8-bit pictures ``(H, W, 3)`` in the hole; one sample in a thousand may flip."""
        hole = case.arrays["mask"] > 127
        return Levels(name, ours[hole], case.arrays[name][hole], 1e-3)


def subsample(whole: np.ndarray, shape: tuple[int, ...], offset: int = 0) -> np.ndarray:
    """Every s-th row and column of ``(C, H, W)`` from ``offset``, s such that ``shape`` results.

    Raises:
        ValueError: no stride gives this shape.
    """
    for stride in range(1, whole.shape[-1] + 1):
        part = whole[:, offset::stride, offset::stride]
        if part.shape == shape:
            return part
    raise ValueError(f"{shape} is no regular subsample of {whole.shape} from {offset}")


def _manifest(parts: list[str]) -> str:
    return ".".join(["manifest", *parts, "json"])
