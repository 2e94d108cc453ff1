"""AdaFace: improved ResNets trained with a margin that adapts to the quality of an image.

Kim, Jain and Liu, "AdaFace: Quality Adaptive Margin for Face Recognition" (CVPR 2022). The network
is that of ArcFace (Deng et al., CVPR 2019), and so is the template to which faces are aligned.
"""

from __future__ import annotations

import cmath
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint import checkpoints
from facemask_inpaint._internal.devices import resolve_device
from facemask_inpaint._internal.files import sha256_of
from facemask_inpaint._internal.torch_state import ordinary_torch, without_draws
from facemask_inpaint.errors import CheckpointError
from facemask_inpaint.images.warping import Similarity, warp
from facemask_inpaint.metrics.faces.cards import FACE_NETWORKS, FaceNetworkCard
from facemask_inpaint.metrics.faces.dlib_networks import DlibLandmarks
from facemask_inpaint.parsing.five_landmarks import fit_similarity

UNITS = {"adaface-ir50": (3, 4, 14, 3), "adaface-ir101": (3, 13, 30, 3)}
"""Residual units in each stage, by the card's name."""

TEMPLATE = np.array(
    [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ]
)
"""Where ArcFace puts the eyes, the tip of the nose and the corners of the mouth, in pixels; the
middle of the first pixel is at (0, 0)."""

_SIDE = 112
_WIDTHS = (64, 64, 128, 256, 512)
_FIVE = (slice(36, 42), slice(42, 48), slice(30, 31), slice(48, 49), slice(54, 55))
"""Which of the 68 points of iBUG 300-W make up each point of the template."""


class ImprovedResNet(nn.Module):
    """From aligned faces to embeddings of length 1.

    The names of the parts are those of the published checkpoints.

    Args:
        units: residual units in each of the four stages; the first one halves the resolution.
    """

    def __init__(self, units: Sequence[int]) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, _WIDTHS[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(_WIDTHS[0]),
            nn.PReLU(_WIDTHS[0]),
        )
        self.body = nn.Sequential()
        for (before, after), count in zip(pairwise(_WIDTHS), units):
            self.body.append(ResidualUnit(before, after, stride=2))
            self.body.extend(ResidualUnit(after, after, stride=1) for _ in range(count - 1))
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(_WIDTHS[-1]),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(_WIDTHS[-1] * (_SIDE // 16) ** 2, 512),
            nn.BatchNorm1d(512, affine=False),
        )

    def forward(self, faces: Tensor) -> Tensor:
        """Return embeddings ``(N, 512)`` of faces ``(N, 3, 112, 112)`` in -1 to 1."""
        embeddings: Tensor = F.normalize(self.output_layer(self.body(self.input_layer(faces))))
        return embeddings


class ResidualUnit(nn.Module):
    """Two convolutions beside a shortcut, with a norm before, between and after them.

    Args:
        before: channels of the input.
        after: channels of the output.
        stride: of the second convolution and of the shortcut.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if before != after:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(before),
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.PReLU(after),
            nn.Conv2d(after, after, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(N, after, H / stride, W / stride)``."""
        outputs: Tensor = self.shortcut_layer(features) + self.res_layer(features)
        return outputs


class AdaFaceEmbedder:
    """Embeddings ``(N, 512)`` of length 1; rows of zeros where no face is found.

    Example:
        >>> from facemask_inpaint import metrics
        >>> embedder = metrics.open_extractor("adaface-ir101")  # doctest: +SKIP

    Args:
        card: of the network.
        device: ``None`` is CUDA when there, else the CPU; faces are found on the CPU.

    Raises:
        MissingDependencyError: dlib is not installed.
        WeightsNotFoundError: the weights cannot be had.
        CheckpointError: the file does not hold this network.
    """

    def __init__(self, card: FaceNetworkCard, device: str | torch.device | None = None) -> None:
        self.device = resolve_device(device)
        self._finder = DlibLandmarks(FACE_NETWORKS["dlib-68"])
        path = checkpoints.fetch(card.files)
        # The authors' Lightning files are for BGR, their safetensors files for RGB.
        self._takes_bgr = checkpoints.identify(path) != "safetensors"
        with ordinary_torch(), without_draws():
            network = ImprovedResNet(UNITS[card.name])
        try:
            network.load_state_dict(checkpoints.read_own(path, ["input_layer.0.weight"], card.name))
        except RuntimeError as error:
            raise CheckpointError(f"{path} does not hold the weights of {card.name}") from error
        self._network = network.eval().requires_grad_(False).to(self.device)
        self.identity = f"{card.name} weights={sha256_of(path)[:16]} {card.rule}"

    @ordinary_torch()
    def prepare(self, images: Tensor) -> Tensor:
        """Align the faces to ArcFace's template.

        Args:
            images: ``(N, 3, H, W)`` uint8.

        Returns:
            ``(N, 3, 112, 112)`` RGB in 0 to 255; NaN where no face is found.
        """
        found = self._finder.prepare(images).reshape(len(images), -1, 2)
        return torch.stack([align(image, points) for image, points in zip(images, found)])

    @ordinary_torch()
    @torch.inference_mode()
    def __call__(self, prepared: Tensor) -> Tensor:
        """Compute embeddings ``(N, 512)`` float32 of what :meth:`prepare` returned."""
        missing = prepared.isnan().flatten(1).any(dim=1)
        scaled = prepared.nan_to_num(0.0) / 127.5 - 1
        embeddings: Tensor = self._network(scaled.flip(1) if self._takes_bgr else scaled)
        return embeddings.masked_fill(missing[:, None], 0)


def align(image: Tensor, landmarks: Tensor) -> Tensor:
    """Turn, scale and shift a face so that its landmarks lie on ArcFace's template.

    Args:
        image: ``(3, H, W)`` uint8.
        landmarks: ``(68, 2)`` of iBUG 300-W in pixels; all zeros where there is no face.

    Returns:
        ``(3, 112, 112)`` float32 in 0 to 255; NaN without a face.
    """
    if not landmarks.any():
        return torch.full((3, _SIDE, _SIDE), torch.nan, device=image.device)
    points = np.stack([landmarks[part].double().mean(dim=0).numpy() for part in _FIVE])
    factor, shift = fit_similarity(points + 0.5, TEMPLATE + 0.5)
    to_template = Similarity(abs(factor), cmath.phase(factor), shift.real, shift.imag)
    return warp(image.float(), to_template.inverse, (_SIDE, _SIDE), soft=True)
