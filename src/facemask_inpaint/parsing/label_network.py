"""A network that labels square pictures, and what its channels mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.errors import CheckpointError
from facemask_inpaint.labels import LABEL_IDS, LABEL_NAMES

Channels = tuple[float, float, float]
Network = TypeVar("Network", bound=nn.Module)

IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
IMAGENET_STD: Channels = (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's colours in [0, 1]."""


@dataclass(frozen=True, eq=False)
class LabelNetwork:
    """A network over square pictures.

    Attributes:
        module: from ``(N, 3, side, side)`` to scores ``(N, K, h, w)``; in evaluation mode.
        side: of the pictures in pixels.
        channels: label of each of the K channels. Which of a pair's two sides it names does not
            matter: geometry tells them apart.
        mean: colours in [0, 1] are normalised by this mean …
        std: … and by this standard deviation.
        device: where the module is.
    """

    module: nn.Module
    side: int
    channels: tuple[str, ...]
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD
    device: torch.device | str = "cpu"

    @cached_property
    def ids(self) -> NDArray[np.uint8]:
        """CelebAMask-HQ id of each channel."""
        return np.array([LABEL_IDS[name] for name in self.channels], dtype=np.uint8)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels that come out, both sides of each pair among them."""
        sides = {"l_eye": "r_eye", "l_brow": "r_brow", "l_ear": "r_ear"}
        known = {*self.channels, *(sides[name] for name in self.channels if name in sides)}
        return tuple(name for name in LABEL_NAMES if name in known)

    def prepare(self, picture: Image.Image) -> Tensor:
        """Normalised ``(1, 3, side, side)`` float32 of an RGB picture of that size."""
        levels = torch.from_numpy(np.array(picture, dtype=np.float32))
        colours = (levels / 255 - torch.tensor(self.mean)) / torch.tensor(self.std)
        return rearrange(colours, "h w c -> 1 c h w").to(self.device)

    @ordinary_torch()
    def scores(self, picture: Image.Image) -> NDArray[np.float32]:
        """Scores ``(K, h, w)`` of an RGB picture of ``side`` x ``side`` pixels."""
        with torch.inference_mode():
            return self.module(self.prepare(picture))[0].float().cpu().numpy()


def fill(network: Network, tensors: Mapping[str, Tensor], name: str) -> Network:
    """A network on the meta device, filled with a checkpoint's tensors, for evaluation.

    Counters of batches, which only training uses, may be missing. Half types become float32.

    Args:
        network: its tensors are replaced.
        tensors: under the network's own keys.
        name: what errors call the network.

    Raises:
        CheckpointError: keys or shapes are another network's.
    """
    expected = {key: value.shape for key, value in network.state_dict().items()}
    counters = {key for key in expected if key.endswith("num_batches_tracked")}
    given = {key: tensor for key, tensor in tensors.items() if key not in counters}
    wrong = [key for key, tensor in given.items() if expected.get(key) != tensor.shape]
    wrong += sorted(expected.keys() - given.keys() - counters)
    if wrong:
        raise CheckpointError(
            f"this is no checkpoint of {name}: {len(wrong)} tensors are missing, unknown or of "
            f"another shape, such as {wrong[0]!r}"
        )
    state = {key: tensor.float() for key, tensor in given.items()}
    zeros = {key: torch.tensor(0) for key in counters}
    network.load_state_dict({**state, **zeros}, assign=True)
    return network.eval().requires_grad_(False)
