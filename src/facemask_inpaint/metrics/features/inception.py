"""The Inception network of 2015-12-05, whose pooled maps FID, KID, P-IDS and U-IDS are made of.

Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (2016), in the form of
the frozen graph that Google published with 1008 classes. It differs from torchvision's network of
the same name: average pools divide by the number of real cells, the last block pools by maximum,
and the weights are others. Inference only, so every batch norm (eps 0.001, not PyTorch's 1e-5) is
folded into its convolution when the weights are loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint.errors import CheckpointError

BATCH_NORM_EPS = 0.001
CLASSES = 1008
TAPS = (64, 192, 768, 2048)
"""Widths of the maps that can be averaged into features; 2048 is the published one."""

Step = tuple[int, int | tuple[int, int]] | tuple[int, int | tuple[int, int], int]
"""Output channels, kernel (side, or height and width) and, where it is not 1, the stride."""


class Convolution(nn.Conv2d):
    """Convolution that carries its batch norm in weight and bias, followed by ReLU."""

    def reset_parameters(self) -> None:
        """Leave the memory as it is: drawing weights costs more than reading the file."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to ``(N, outputs, H', W')``."""
        return F.relu_(super().forward(x))


class AveragePool(nn.Module):
    """3x3 mean at stride 1 that counts only cells inside the map."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class Branches(nn.ModuleList):
    """Paths that read the same map; their outputs are stacked along the channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to ``(N, sum of the paths' channels, H', W')``."""
        return torch.cat([path(x) for path in self], dim=1)


class Inception2015(nn.Module):
    """The feature network. Build it with :meth:`from_official`.

    Attributes:
        classifier: the 2048 -> 1008 layer, for :meth:`logits` only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stage_64 = nn.Sequential(
            Convolution(3, 32, 3, stride=2),
            Convolution(32, 32, 3),
            Convolution(32, 64, 3, padding=1),
            nn.MaxPool2d(3, stride=2),
        )
        self.stage_192 = nn.Sequential(
            Convolution(64, 80, 1),
            Convolution(80, 192, 3),
            nn.MaxPool2d(3, stride=2),
        )
        self.stage_768 = nn.Sequential(
            _block_35(192, pooled=32),
            _block_35(256, pooled=64),
            _block_35(288, pooled=64),
            _downsample_to_17(288),
            *[_block_17(width) for width in (128, 160, 160, 192)],
        )
        self.stage_2048 = nn.Sequential(
            _downsample_to_8(768),
            _block_8(1280, AveragePool()),
            _block_8(2048, nn.MaxPool2d(3, stride=1, padding=1)),
        )
        self.classifier = nn.Linear(2048, CLASSES)

    def forward(self, x: Tensor, tap: int = 2048) -> Tensor:
        """Compute features of prepared images.

        Args:
            x: ``(N, 3, 299, 299)`` float, about [-1, 1], from a front end.
            tap: which map to average over space: one of :data:`TAPS`.

        Returns:
            ``(N, tap)`` in the dtype of ``x``.

        Raises:
            ValueError: no such tap.
        """
        for width in TAPS:
            x = self.get_submodule(f"stage_{width}")(x)
            if width == tap:
                return x.mean(dim=(2, 3))
        raise ValueError(f"no map of width {tap}; there are {TAPS}")

    def logits(self, features: Tensor, bias: bool = True) -> Tensor:
        """Compute class scores ``(N, 1008)``.

        Args:
            features: ``(N, 2048)``.
            bias: ``False`` leaves it out, as the Inception Score does.
        """
        return F.linear(features, self.classifier.weight, self.classifier.bias if bias else None)

    def convolutions(self) -> Iterator[Convolution]:
        """Iterate over the 94 convolutions in the order of the graph."""
        return (module for module in self.modules() if isinstance(module, Convolution))

    def digest(self) -> str:
        """Return the SHA-256 over all weights, whatever container they came in."""
        digest = hashlib.sha256()
        for tensor in self.state_dict().values():
            digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @classmethod
    def from_official(cls, tensors: Mapping[str, Tensor]) -> Inception2015:
        """Build the network from the tensors of any of the three published files.

        Args:
            tensors: by the keys of ``pt_inception-2015-12-05-6726825d.pth`` (pytorch-fid), of
                torch-fidelity's file of the same weights, or of the TorchScript archive
                ``inception-2015-12-05.pt`` (StyleGAN2-ADA).

        Raises:
            CheckpointError: tensors are missing or of another shape.
        """
        network = cls().eval().requires_grad_(False)
        scripted = "layers.conv.weight" in tensors
        names = SCRIPTED_NAMES if scripted else STATE_DICT_NAMES
        for convolution, name in zip(network.convolutions(), names, strict=True):
            weight, scale, shift, mean, variance = _unit(tensors, name, scripted)
            factor = scale.double() / (variance.double() + BATCH_NORM_EPS).sqrt()
            folded = weight.double() * factor[:, None, None, None]
            _assign(convolution.weight, folded, name)
            _assign(convolution.bias, shift.double() - mean.double() * factor, name)
        head = "output" if scripted else "fc"
        _assign(network.classifier.weight, _find(tensors, f"{head}.weight"), head)
        _assign(network.classifier.bias, _find(tensors, f"{head}.bias"), head)
        # PyTorch documents this argument; its type stubs lack it.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network


def _chain(inputs: int, *steps: Step) -> nn.Sequential:
    """Convolutions one after the other; stride 1 keeps the size, stride 2 takes no padding."""
    layers: list[nn.Module] = []
    for outputs, kernel, *rest in steps:
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        stride = rest[0] if rest else 1
        padding = (height // 2, width // 2) if stride == 1 else 0
        layers.append(Convolution(inputs, outputs, (height, width), stride, padding))
        inputs = outputs
    return nn.Sequential(*layers)


def _block_35(inputs: int, pooled: int) -> Branches:
    return Branches(
        [
            _chain(inputs, (64, 1)),
            _chain(inputs, (48, 1), (64, 5)),
            _chain(inputs, (64, 1), (96, 3), (96, 3)),
            nn.Sequential(AveragePool(), Convolution(inputs, pooled, 1)),
        ]
    )


def _downsample_to_17(inputs: int) -> Branches:
    return Branches(
        [
            _chain(inputs, (384, 3, 2)),
            _chain(inputs, (64, 1), (96, 3), (96, 3, 2)),
            nn.MaxPool2d(3, stride=2),
        ]
    )


def _block_17(width: int) -> Branches:
    tall, wide = (7, 1), (1, 7)
    return Branches(
        [
            _chain(768, (192, 1)),
            _chain(768, (width, 1), (width, wide), (192, tall)),
            _chain(768, (width, 1), (width, tall), (width, wide), (width, tall), (192, wide)),
            nn.Sequential(AveragePool(), Convolution(768, 192, 1)),
        ]
    )


def _downsample_to_8(inputs: int) -> Branches:
    return Branches(
        [
            _chain(inputs, (192, 1), (320, 3, 2)),
            _chain(inputs, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)),
            nn.MaxPool2d(3, stride=2),
        ]
    )


def _block_8(inputs: int, pool: nn.Module) -> Branches:
    return Branches(
        [
            _chain(inputs, (320, 1)),
            nn.Sequential(_chain(inputs, (384, 1)), _cross()),
            nn.Sequential(_chain(inputs, (448, 1), (384, 3)), _cross()),
            nn.Sequential(pool, Convolution(inputs, 192, 1)),
        ]
    )


def _cross() -> Branches:
    """A 1x3 and a 3x1 convolution side by side."""
    return Branches([_chain(384, (384, (1, 3))), _chain(384, (384, (3, 1)))])


def _numbered(name: str, first: int, last: int) -> list[str]:
    return [f"{name}_{i}" for i in range(first, last + 1)]


def _tower(name: str, count: int) -> list[str]:
    return [f"{name}.conv", *(f"{name}.conv_{i}" for i in range(1, count))]


def _within(blocks: list[str], units: list[str]) -> list[str]:
    return [f"{block}.{unit}" for block in blocks for unit in units]


_DOUBLE_3 = _numbered("branch3x3dbl", 1, 3)
STATE_DICT_NAMES = [
    "Conv2d_1a_3x3",
    "Conv2d_2a_3x3",
    "Conv2d_2b_3x3",
    "Conv2d_3b_1x1",
    "Conv2d_4a_3x3",
    *_within(
        ["Mixed_5b", "Mixed_5c", "Mixed_5d"],
        ["branch1x1", *_numbered("branch5x5", 1, 2), *_DOUBLE_3, "branch_pool"],
    ),
    *_within(["Mixed_6a"], ["branch3x3", *_DOUBLE_3]),
    *_within(
        ["Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"],
        [
            "branch1x1",
            *_numbered("branch7x7", 1, 3),
            *_numbered("branch7x7dbl", 1, 5),
            "branch_pool",
        ],
    ),
    *_within(["Mixed_7a"], [*_numbered("branch3x3", 1, 2), *_numbered("branch7x7x3", 1, 4)]),
    *_within(
        ["Mixed_7b", "Mixed_7c"],
        [
            "branch1x1",
            *("branch3x3_1", "branch3x3_2a", "branch3x3_2b"),
            *("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3a", "branch3x3dbl_3b"),
            "branch_pool",
        ],
    ),
]
"""The 94 convolutions of the state-dict files, in the order of
:meth:`Inception2015.convolutions`."""

SCRIPTED_NAMES = [
    *("layers.conv", *(f"layers.conv_{i}" for i in range(1, 5))),
    *_within(
        ["layers.mixed", "layers.mixed_1", "layers.mixed_2"],
        ["conv", *_tower("tower", 2), *_tower("tower_1", 3), "tower_2.conv"],
    ),
    *_within(["layers.mixed_3"], ["conv", *_tower("tower", 3)]),
    *_within(
        [f"layers.mixed_{i}" for i in range(4, 8)],
        ["conv", *_tower("tower", 3), *_tower("tower_1", 5), "tower_2.conv"],
    ),
    *_within(["layers.mixed_8"], [*_tower("tower", 2), *_tower("tower_1", 4)]),
    *_within(
        ["layers.mixed_9", "layers.mixed_10"],
        [
            "conv",
            *("tower_conv", "tower_mixed_conv", "tower_mixed_conv_1"),
            *("tower_1_conv", "tower_1_conv_1", "tower_1_mixed_conv", "tower_1_mixed_conv_1"),
            "tower_2_conv",
        ],
    ),
]
"""The same convolutions in StyleGAN2-ADA's archive."""


def _unit(tensors: Mapping[str, Tensor], name: str, scripted: bool) -> list[Tensor]:
    """Weight, scale, shift, mean and variance of one convolution and its batch norm."""
    if scripted:
        keys = [f"{name}.{part}" for part in ("weight", "beta", "mean", "var")]
        weight, shift, mean, variance = (_find(tensors, key) for key in keys)
        return [weight, torch.ones_like(shift), shift, mean, variance]
    norm = [f"{name}.bn.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
    return [_find(tensors, key) for key in (f"{name}.conv.weight", *norm)]


def _find(tensors: Mapping[str, Tensor], key: str) -> Tensor:
    if key not in tensors:
        raise CheckpointError(
            f"not the Inception network of 2015-12-05: tensor {key!r} is missing. Known files: "
            "pt_inception-2015-12-05-6726825d.pth (pytorch-fid), "
            "weights-inception-2015-12-05-6726825d.pth (torch-fidelity), "
            "inception-2015-12-05.pt (StyleGAN2-ADA)"
        )
    return tensors[key]


def _assign(parameter: Tensor | None, value: Tensor, name: str) -> None:
    assert parameter is not None  # every layer here has a bias
    if parameter.shape != value.shape:
        raise CheckpointError(
            f"{name}: tensor of shape {tuple(value.shape)}, needed {tuple(parameter.shape)}"
        )
    parameter.data.copy_(value)
