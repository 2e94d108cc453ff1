"""A network that labels square images, and what its channels mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.checkpoints import Source, fetch_readable, read_own
from facemask_inpaint.errors import CheckpointError, WeightsNotFoundError
from facemask_inpaint.labels import LABEL_IDS, LABEL_NAMES

Colour = tuple[float, float, float]
Network = TypeVar("Network", bound=nn.Module)

IMAGENET_MEAN: Colour = (0.485, 0.456, 0.406)
IMAGENET_STD: Colour = (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's colours in [0, 1]."""


@dataclass(frozen=True, eq=False)
class LabelNetwork:
    """A network that labels square images.

    Attributes:
        module: from ``(N, 3, R, R)`` to scores ``(N, K, h, w)``; in evaluation mode.
        resolution: side ``R`` of the images in pixels.
        channels: label of each of the K channels. Whether it names the left or the right of a pair
            does not matter: geometry tells them apart.
        mean: colours in [0, 1] are normalised by this mean …
        std: … and by this standard deviation.
        device: where the module is.

    Example:
        >>> from facemask_inpaint import data, parsing
        >>> network = parsing.load_parser("small").network
        >>> network.scores(data.sample(256).image).shape
        (12, 128, 128)
    """

    module: nn.Module
    resolution: int
    channels: tuple[str, ...]
    mean: Colour = IMAGENET_MEAN
    std: Colour = IMAGENET_STD
    device: torch.device | str = "cpu"

    @cached_property
    def ids(self) -> NDArray[np.uint8]:
        """Label id of each channel."""
        return np.array([LABEL_IDS[name] for name in self.channels], dtype=np.uint8)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels that come out, both of each pair among them."""
        right = {"l_eye": "r_eye", "l_brow": "r_brow", "l_ear": "r_ear"}
        known = {*self.channels, *(right[name] for name in self.channels if name in right)}
        return tuple(name for name in LABEL_NAMES if name in known)

    def prepare(self, image: Image.Image) -> Tensor:
        """Return normalised ``(1, 3, R, R)`` float32 of an RGB image of that resolution."""
        levels = torch.from_numpy(np.array(image, dtype=np.float32))
        colours = (levels / 255 - torch.tensor(self.mean)) / torch.tensor(self.std)
        return rearrange(colours, "h w c -> 1 c h w").to(self.device)

    @ordinary_torch()
    def scores(self, image: Image.Image) -> NDArray[np.float32]:
        """Return the scores ``(K, h, w)`` of an RGB image of the network's resolution."""
        with torch.inference_mode():
            scores: Tensor = self.module(self.prepare(image))
            return scores[0].float().cpu().numpy()


def load_tensors(network: Network, tensors: Mapping[str, Tensor], name: str) -> Network:
    """Give a network on the meta device the tensors of a checkpoint, for evaluation.

    Counters of batches, which only training uses, may be missing. Half types become float32.

    Args:
        network: its tensors are replaced.
        tensors: under the network's own keys.
        name: what errors call the network.

    Raises:
        CheckpointError: Keys or shapes are those of another network.
    """
    expected = {key: value.shape for key, value in network.state_dict().items()}
    counters = {key for key in expected if key.endswith("num_batches_tracked")}
    weights = {key: tensor for key, tensor in tensors.items() if key not in counters}
    wrong = [key for key, tensor in weights.items() if expected.get(key) != tensor.shape]
    wrong += sorted(expected.keys() - weights.keys() - counters)
    if wrong:
        raise CheckpointError(
            f"this is no checkpoint of {name}: {len(wrong)} tensors are missing, unknown or of "
            f"another shape, such as {wrong[0]!r}"
        )
    state = {key: tensor.float() for key, tensor in weights.items()}
    zeros = {key: torch.tensor(0) for key in counters}
    network.load_state_dict({**state, **zeros}, assign=True)
    return network.eval().requires_grad_(False)


@dataclass(frozen=True)
class PublishedParser(Generic[Network]):
    """A label network with published weights, loaded when :meth:`load` is called.

    Attributes:
        name: of the parser.
        sources: where the published file is.
        anchors: keys by which the network is recognised in a file.
        from_official: makes the network from the tensors of a published file.
        resolution: side in pixels of the square images that the weights are for.
        channels: label of each channel.
    """

    name: str
    sources: Sequence[Source]
    anchors: Sequence[str]
    from_official: Callable[[Mapping[str, Tensor]], Network]
    resolution: int
    channels: tuple[str, ...]

    def load(
        self, weights: str | Path | None, device: torch.device, *, progress: bool = True
    ) -> LabelNetwork:
        """Return the network with its published weights, or those of a file.

        Args:
            weights: a file to use instead.
            device: where it runs.
            progress: show a progress bar while the published file is fetched.

        Raises:
            WeightsNotFoundError: No source is usable; the message says how to do without.
            CheckpointError: ``weights`` is the file of another network.
        """
        network = self._fetched(progress) if weights is None else self._read(weights)
        return LabelNetwork(network.to(device), self.resolution, self.channels, device=device)

    def _read(self, path: str | Path) -> Network:
        return self.from_official(read_own(path, self.anchors, self.name))

    def _fetched(self, progress: bool) -> Network:
        try:
            return fetch_readable(self.sources, lambda _, path: self._read(path), progress=progress)
        except WeightsNotFoundError as error:
            raise WeightsNotFoundError(
                f"{error}\nA copy that you have goes in by load_parser({self.name!r}, "
                'weights=FILE); load_parser("small") needs no download'
            ) from error
