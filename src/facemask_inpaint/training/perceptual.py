"""Perceptual loss on VGG-19 features, as MAT is trained with."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint import checkpoints
from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.errors import WeightsNotFoundError

SOURCE = Source(
    "url",
    "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    "vgg19-dcbb9e9d.pth",
    sha256="dcbb9e9d",
    size=574_673_361,
)
"""ImageNet weights of torchvision; the name holds the first eight hex digits of their SHA-256."""

BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and convolutions between poolings (Simonyan and Zisserman, 2015, table 1, E)."""

WEIGHTS = {(3, 3): 0.25, (4, 3): 0.5}
"""Block and convolution whose features before the ReLU are compared, with their weights."""

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


class PerceptualLoss(nn.Module):
    """Mean absolute difference of the VGG-19 features conv4_4 and conv5_4, before their ReLU.

    Li et al., "MAT: Mask-Aware Transformer for Large Hole Image Inpainting", 2022, section 3.6.

    Example:
        >>> import torch
        >>> from facemask_inpaint.training import perceptual
        >>> loss = perceptual.load(torch.device("cpu"))  # doctest: +SKIP
        >>> loss(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64))  # doctest: +SKIP
        tensor([0.])
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        channels, blocks = 3, []
        for width, count in BLOCKS:
            widths = [channels] + [width] * count
            blocks.append([nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths)])
            channels = width
        self.blocks = blocks
        self.layers = nn.ModuleList(layer for block in blocks for layer in block)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(1, 3, 1, 1), False)
        self.requires_grad_(False).eval()

    def load_official(self, tensors: dict[str, Tensor]) -> None:
        """Load the weights of torchvision's VGG-19, under its own keys."""
        index = 0
        for block in self.blocks:
            for layer in block:
                part = f"features.{index}."
                layer.load_state_dict({name: tensors[part + name] for name in ("weight", "bias")})
                index += 2
            index += 1

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the distance ``(N,)`` of images ``(N, 3, H, W)`` in [-1, 1].

        Only the prediction gets a gradient.
        """
        with torch.no_grad():
            targets = self._features(target)
        features = self._features(prediction)
        each = [
            weight * (a - b).abs().flatten(1).mean(dim=1)
            for a, b, weight in zip(features, targets, WEIGHTS.values())
        ]
        return torch.stack(each).sum(dim=0)

    def _features(self, image: Tensor) -> list[Tensor]:
        x = ((image + 1) / 2 - self.mean) / self.deviation
        features = []
        for number, block in enumerate(self.blocks):
            x = F.max_pool2d(x, 2) if number else x
            for index, layer in enumerate(block):
                x = layer(x)
                if (number, index) in WEIGHTS:
                    features.append(x)
                x = F.relu(x)
        return features


def load(device: torch.device) -> PerceptualLoss:
    """Create the loss with its pinned weights, which are fetched on first use.

    Args:
        device: where it is computed.

    Raises:
        WeightsNotFoundError: They cannot be fetched; the message says how to do without.
        IntegrityError: The file is not the pinned one.
    """
    try:
        path = checkpoints.fetch((SOURCE,), architecture="vgg19")
    except WeightsNotFoundError as error:
        raise WeightsNotFoundError(
            f"{error}\nThe perceptual loss needs these weights. Without them, train with "
            "losses.perceptual=0 (on the command line: --set losses.perceptual=0)"
        ) from error
    loss = PerceptualLoss()
    loss.load_official(checkpoints.read(path).tensors)
    return loss.to(device)
