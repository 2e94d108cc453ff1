"""The published Inception network, and feature extractors by name."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

from facemask_inpaint import checkpoints
from facemask_inpaint._internal.devices import resolve_device
from facemask_inpaint._internal.torch_state import ordinary_torch, without_draws
from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.errors import OptionError, WeightsNotFoundError, unknown_name
from facemask_inpaint.metrics.faces.cards import FACE_NETWORKS
from facemask_inpaint.metrics.features import efficientnet
from facemask_inpaint.metrics.features._precision import exact_float32, feature_dtype
from facemask_inpaint.metrics.features.custom import FeatureExtractor
from facemask_inpaint.metrics.features.efficientnet import EfficientNetExtractor
from facemask_inpaint.metrics.features.frontends import DEFAULT, front_end
from facemask_inpaint.metrics.features.inception import TAPS, Inception2015
from facemask_inpaint.metrics.table import (
    CLIP,
    DINOV2,
    EFFICIENTNET,
    EXTRACTORS,
    RANDOM_CONVOLUTIONS,
)

_ALWAYS_FLOAT32 = (*FACE_NETWORKS, EFFICIENTNET, RANDOM_CONVOLUTIONS)

WEIGHTS_VARIABLE = "FACEMASK_INPAINT_INCEPTION"
"""Environment variable that may hold the path of any of the three published weight files."""

_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_RELEASES = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights"
_MIRROR = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0"
INCEPTION_SOURCES = tuple(
    Source("url", f"{folder}/{name}", name, sha256=_SHA256, size=95_628_359)
    for folder, name in (
        (_RELEASES, "pt_inception-2015-12-05-6726825d.pth"),
        (_MIRROR, "weights-inception-2015-12-05-6726825d.pth"),
    )
)


class InceptionExtractor:
    """The 2015 Inception network behind one of the published front ends.

    Example:
        >>> from facemask_inpaint.metrics import FeatureReader, InceptionExtractor
        >>> extractor = InceptionExtractor("clean", device="cuda")  # doctest: +SKIP
        >>> features = FeatureReader(extractor).read("faces/real")  # doctest: +SKIP

    Args:
        name: front end, see :mod:`~facemask_inpaint.metrics.features.frontends`.
        weights: local copy of any of the three published files; ``None`` looks at the environment
            variable ``FACEMASK_INPAINT_INCEPTION`` and then downloads pytorch-fid's file, whose
            hash is pinned.
        device: ``None`` is CUDA when there, else the CPU.
        dtype: ``"float32"`` (TF32 switched off), or ``"float16"``/``"bfloat16"``: faster, but
            features move by some 3 % of their spread, as much as by another front end.
        tap: width of the map that is averaged: 2048, or 64, 192, 768 for tiny samples.

    Raises:
        UnknownNameError: no such front end.
        OptionError: no such dtype or tap.
        WeightsNotFoundError: the weights are neither there nor to be had.
        CheckpointError: the file does not hold this network.
    """

    def __init__(
        self,
        name: str = DEFAULT,
        *,
        weights: str | Path | None = None,
        device: str | torch.device | None = None,
        dtype: str = "float32",
        tap: int = 2048,
    ) -> None:
        if tap not in TAPS:
            raise OptionError(f"no map of width {tap}; there are {TAPS}")
        self._front_end = front_end(name)
        self._tap = tap
        self._dtype = feature_dtype(dtype)
        self.device = resolve_device(device)
        with ordinary_torch(), without_draws():
            network = Inception2015.from_official(checkpoints.read(_weights_file(weights)).tensors)
        self.identity = (
            f"inception-2015 front_end={name} tap={tap} dtype={dtype} "
            f"weights={network.digest()[:16]}"
        )
        self._network = network.to(self.device, self._dtype)

    @ordinary_torch()
    def prepare(self, images: Tensor) -> Tensor:
        """Resize and scale images on their device.

        Args:
            images: ``(N, 3, H, W)`` uint8.

        Returns:
            ``(N, 3, 299, 299)`` float32.
        """
        with exact_float32(self.device):
            return self._front_end(images)

    @ordinary_torch()
    @torch.inference_mode()
    def __call__(self, prepared: Tensor) -> Tensor:
        """Compute features ``(N, tap)`` float32 of prepared images ``(N, 3, 299, 299)``."""
        batch = prepared.to(self._dtype, memory_format=torch.channels_last)
        with exact_float32(self.device):
            features: Tensor = self._network(batch, self._tap)
            return features.float()


def open_extractor(
    name: str,
    device: str | torch.device | None = None,
    *,
    weights: str | Path | None = None,
    dtype: str = "float32",
) -> FeatureExtractor:
    """Return the extractor of a name.

    Example:
        >>> from facemask_inpaint import metrics
        >>> extractor = metrics.open_extractor("random-convolutions", "cpu")

    Args:
        name: a front end of the Inception network, such as ``"stylegan"``; ``"dinov2"`` or
            ``"clip"``, see :class:`~.vision_transformers.VisionTransformerExtractor`;
            ``"efficientnet-lite0"``, whose weights the extra ``features`` installs; or
            ``"random-convolutions"``, see :func:`random_convolutions`. Face recognisers and
            landmark finders (``"dlib"``, ``"dlib-68"``) are extractors too.
        device: ``None`` is CUDA when there, else the CPU.
        weights: local copy of the published file of this network; ``None`` downloads it.
        dtype: ``"float32"``; the Inception network, ``"dinov2"`` and ``"clip"`` also compute in
            ``"float16"`` and ``"bfloat16"``.

    Raises:
        UnknownNameError: there is none of that name.
        OptionError: a dtype in which this extractor does not compute.
        WeightsNotFoundError: its weights cannot be had.
        MissingDependencyError: its package is not installed.
    """
    if feature_dtype(dtype) != torch.float32 and name in _ALWAYS_FLOAT32:
        raise OptionError(f"{name} computes in float32 only: leave out dtype {dtype!r}")
    if name in FACE_NETWORKS:
        from facemask_inpaint.metrics.faces.networks import open_face_network

        return open_face_network(name, device)
    if name not in EXTRACTORS:
        raise unknown_name("feature extractor", name, (*EXTRACTORS, *FACE_NETWORKS))
    if name == RANDOM_CONVOLUTIONS:
        from facemask_inpaint.metrics.features.random_convolutions import random_convolutions

        return random_convolutions(device)
    if name == EFFICIENTNET:
        return EfficientNetExtractor(device)
    if name in (DINOV2, CLIP):
        from facemask_inpaint.metrics.features.vision_transformers import VisionTransformerExtractor

        return VisionTransformerExtractor(name, weights=weights, device=device, dtype=dtype)
    return InceptionExtractor(name, weights=weights, device=device, dtype=dtype)


def default_extractor() -> str:
    """Return the name of the extractor that is taken unless one is chosen.

    It is the Inception network; where its weights cannot be had and the extra ``features`` is
    installed, EfficientNet-Lite0, whose numbers say that they are not comparable with Inception's.
    """
    try:
        _weights_file(None)
    except WeightsNotFoundError:
        return EFFICIENTNET if efficientnet.installed() else DEFAULT
    return DEFAULT


def resolve_extractor(
    extractor: FeatureExtractor | str | None,
    device: str | torch.device | None,
    dtype: str = "float32",
) -> FeatureExtractor:
    """Return an extractor as it is, or open the one of that name.

    Args:
        extractor: an extractor, a name for :func:`open_extractor`, or ``None`` for the default.
        device: of an extractor given by name.
        dtype: likewise.

    Raises:
        OptionError: an extractor that is on another device, or a name of one that does not compute
            in this dtype.
    """
    extractor = default_extractor() if extractor is None else extractor
    if isinstance(extractor, str):
        return open_extractor(extractor, device, dtype=dtype)
    if device is not None and torch.device(device) != extractor.device:
        raise OptionError(f"this extractor is on {extractor.device}, not on {device}")
    return extractor


def _weights_file(weights: str | Path | None) -> Path:
    location = weights or os.environ.get(WEIGHTS_VARIABLE)
    if not location:
        try:
            return checkpoints.fetch(INCEPTION_SOURCES)
        except WeightsNotFoundError as error:
            raise WeightsNotFoundError(
                f"{error}; or give a copy of {INCEPTION_SOURCES[0].location} as weights= or by the "
                f"environment variable {WEIGHTS_VARIABLE}"
            ) from error
    path = Path(location)
    if not path.is_file():
        origin = "weights" if weights else WEIGHTS_VARIABLE
        raise WeightsNotFoundError(
            f"{path} ({origin}): there is no such file; get {INCEPTION_SOURCES[0].location}"
        )
    return path
