"""LPIPS, the learned perceptual distance between two images.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (2018),
version 0.1: channel-normalised maps of a classification network are subtracted, squared, weighted
per channel by learned non-negative heads, averaged over space and summed over five depths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint import checkpoints
from facemask_inpaint._internal.devices import resolve_device
from facemask_inpaint._internal.torch_state import ordinary_torch, without_draws
from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.errors import CheckpointError, UnknownNameError

Layer = tuple[int, int, int, int, int]
"""Input and output channels, kernel, stride and padding of a convolution."""

_EPS = 1e-10
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_TORCHVISION = "https://download.pytorch.org/models"
_HEADS = (
    "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1"
)


@dataclass(frozen=True)
class Backbone:
    """A classification network as far as LPIPS uses it, and the sources of its weights.

    Attributes:
        depths: convolutions up to each of the five maps, each followed by ReLU.
        pool: side of the max pools (their stride is 2).
        pooled: depths that begin with a max pool.
        min_side: height and width of the smallest image that the pools leave anything of.
        features: torchvision's weights of the network.
        heads: the learned weights of the channels.
    """

    depths: tuple[tuple[Layer, ...], ...]
    pool: int
    pooled: tuple[int, ...]
    min_side: int
    features: Source
    heads: Source


def _source(folder: str, name: str, sha256: str, size: int) -> Source:
    return Source("url", f"{folder}/{name}", name, sha256=sha256, size=size)


def _threes(inputs: int, outputs: int, count: int) -> tuple[Layer, ...]:
    rest: tuple[Layer, ...] = ((outputs, outputs, 3, 1, 1),) * (count - 1)
    return ((inputs, outputs, 3, 1, 1), *rest)


BACKBONES = {
    "alex": Backbone(
        depths=(
            ((3, 64, 11, 4, 2),),
            ((64, 192, 5, 1, 2),),
            ((192, 384, 3, 1, 1),),
            ((384, 256, 3, 1, 1),),
            ((256, 256, 3, 1, 1),),
        ),
        pool=3,
        min_side=31,
        pooled=(1, 2),
        features=_source(
            _TORCHVISION,
            "alexnet-owt-7be5be79.pth",
            "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
            244_408_911,
        ),
        heads=_source(
            _HEADS,
            "alex.pth",
            "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
            6_009,
        ),
    ),
    "vgg": Backbone(
        depths=(
            _threes(3, 64, 2),
            _threes(64, 128, 2),
            _threes(128, 256, 3),
            _threes(256, 512, 3),
            _threes(512, 512, 3),
        ),
        pool=2,
        min_side=16,
        pooled=(1, 2, 3, 4),
        features=_source(
            _TORCHVISION,
            "vgg16-397923af.pth",
            "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
            553_433_881,
        ),
        heads=_source(
            _HEADS,
            "vgg.pth",
            "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
            7_289,
        ),
    ),
}


class PerceptualDistance(nn.Module):
    """LPIPS as a network."""

    shift: Tensor
    scale: Tensor

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.min_side = backbone.min_side
        self.depths = nn.ModuleList(
            _depth(layers, backbone.pool if depth in backbone.pooled else None)
            for depth, layers in enumerate(backbone.depths)
        )
        widths = [layers[-1][1] for layers in backbone.depths]
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, 1, bias=False) for width in widths)
        self.register_buffer("shift", torch.tensor(_SHIFT).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE).view(3, 1, 1), persistent=False)

    @classmethod
    def from_official(
        cls, name: str, features: Mapping[str, Tensor], heads: Mapping[str, Tensor]
    ) -> PerceptualDistance:
        """Build the distance from torchvision's weights and the published heads.

        Args:
            name: ``"alex"`` or ``"vgg"``.
            features: by torchvision's keys, ``features.0.weight`` and on.
            heads: by the published keys, ``lin0.model.1.weight`` and on.

        Raises:
            UnknownNameError: another network.
            CheckpointError: tensors are missing or of another shape.
        """
        network = cls(_backbone(name)).eval().requires_grad_(False)
        layers = [layer for layer in network.depths.modules() if isinstance(layer, nn.Conv2d)]
        positions = sorted(
            int(key.split(".")[1])
            for key in features
            if key.startswith("features.") and key.endswith(".weight")
        )
        if len(positions) != len(layers):
            raise CheckpointError(
                f"{len(positions)} convolutions among the tensors; {name} has {len(layers)}"
            )
        for layer, position in zip(layers, positions):
            own = {"weight": features[f"features.{position}.weight"]}
            own["bias"] = _find(features, f"features.{position}.bias")
            _load(layer, own, f"features.{position}")
        for depth, head in enumerate(network.heads):
            key = f"lin{depth}.model.1.weight"
            _load(head, {"weight": _find(heads, key)}, key)
        return network

    def maps(self, real: Tensor, fake: Tensor) -> list[Tensor]:
        """Compute the distance maps ``(N, 1, h, w)`` of the five depths.

        Args:
            real: ``(N, 3, H, W)`` in [-1, 1].
            fake: the same.
        """
        both = torch.cat([real, fake])
        x = (both - self.shift) / self.scale
        maps = []
        for depth, head in zip(self.depths, self.heads):
            x = depth(x)
            unit = x / (x.square().sum(dim=1, keepdim=True).sqrt() + _EPS)
            first, second = unit.chunk(2)
            maps.append(head((first - second).square()))
        return maps

    def forward(self, real: Tensor, fake: Tensor) -> Tensor:
        """Compute the distances ``(N,)``.

        Args:
            real: ``(N, 3, H, W)`` in [-1, 1].
            fake: the same.
        """
        return torch.stack([part.mean(dim=(1, 2, 3)) for part in self.maps(real, fake)]).sum(dim=0)

    @ordinary_torch()
    @torch.inference_mode()
    def measure(self, real: Tensor, fake: Tensor, hole: Tensor | None) -> float:
        """Compute the distance of one pair.

        Args:
            real: ``(3, H, W)`` in [0, 1].
            fake: the same.
            hole: ``(H, W)`` bool: the mean over its pixels of the maps upsampled to the image's
                size; ``None`` for the whole image.
        """
        images = [(side.float() * 2 - 1)[None] for side in (real, fake)]
        if hole is None:
            return float(self(*images))
        size = hole.shape
        upsampled = [
            F.interpolate(part, size, mode="bilinear", align_corners=False)
            for part in self.maps(*images)
        ]
        return float(torch.stack(upsampled).sum(dim=0)[0, 0][hole].mean())


@ordinary_torch()
def load_perceptual_distance(
    name: str = "alex",
    *,
    features: str | Path | None = None,
    heads: str | Path | None = None,
    device: str | torch.device | None = None,
) -> PerceptualDistance:
    """Load LPIPS with its published weights, downloaded (with pinned hashes) where not given.

    Example:
        >>> from facemask_inpaint import metrics
        >>> network = metrics.load_perceptual_distance("vgg", device="cpu")  # doctest: +SKIP
        >>> metrics.lpips("faces/real", "faces/filled", network=network)  # doctest: +SKIP

    Args:
        name: ``"alex"``, what its authors recommend for comparing images, or ``"vgg"``.
        features: local copy of torchvision's file.
        heads: local copy of ``lpips/weights/v0.1/<name>.pth``.
        device: ``None`` is CUDA when there, else the CPU.

    Raises:
        UnknownNameError: another network.
        WeightsNotFoundError: a file is neither given nor to be had.
        CheckpointError: a file does not hold these weights.
    """
    backbone = _backbone(name)
    parts = [
        checkpoints.read(path or checkpoints.fetch([source])).tensors
        for path, source in ((features, backbone.features), (heads, backbone.heads))
    ]
    with without_draws():
        return PerceptualDistance.from_official(name, *parts).to(resolve_device(device))


@lru_cache(maxsize=8)
def shared_perceptual_distance(device: torch.device) -> PerceptualDistance:
    """Load the default network once per device, for whoever measures there.

    Args:
        device: of the images.

    Raises:
        WeightsNotFoundError: the weights cannot be had.
    """
    return load_perceptual_distance(device=device)


def _backbone(name: str) -> Backbone:
    if name not in BACKBONES:
        raise UnknownNameError(f"no LPIPS network {name!r}; there are {', '.join(BACKBONES)}")
    return BACKBONES[name]


def _depth(layers: Sequence[Layer], pool: int | None) -> nn.Sequential:
    built: list[nn.Module] = [] if pool is None else [nn.MaxPool2d(pool, stride=2)]
    for layer in layers:
        built += [nn.Conv2d(*layer), nn.ReLU()]
    return nn.Sequential(*built)


def _find(tensors: Mapping[str, Tensor], key: str) -> Tensor:
    if key not in tensors:
        raise CheckpointError(f"not the weights of LPIPS: tensor {key!r} is missing")
    return tensors[key]


def _load(layer: nn.Module, tensors: Mapping[str, Tensor], key: str) -> None:
    try:
        layer.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise CheckpointError(f"{key} does not fit: {error}") from error
