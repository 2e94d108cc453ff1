"""dlib's detector, landmarks and recogniser, from the packages of the extra ``identity``.

``dlib-bin`` is dlib as a wheel, ``face-recognition-models`` holds the published weights. Both run
on the CPU.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemask_inpaint.checkpoints.sources import Source, verify
from facemask_inpaint.errors import MissingDependencyError
from facemask_inpaint.metrics.faces.cards import FACE_NETWORKS, FaceNetworkCard

Pixels = NDArray[np.uint8]

_WEIGHTS = "face_recognition_models"
_CHIP = 150
_UPSAMPLING = (0, 1)
"""How often an image is doubled in size to find a face; the second try costs four times the first
and finds smaller faces."""


def installed() -> bool:
    """Say whether dlib and its weights are there."""
    return all(find_spec(name) is not None for name in ("dlib", _WEIGHTS))


class Rectangle(Protocol):
    """dlib's rectangle around a face, in pixels."""

    def left(self) -> int:
        """Return the first column."""

    def right(self) -> int:
        """Return the last column."""

    def top(self) -> int:
        """Return the first row."""

    def bottom(self) -> int:
        """Return the last row."""


class FrontalFaces:
    """The detector of frontal faces in dlib (histograms of oriented gradients).

    Raises:
        MissingDependencyError: dlib is not installed.
    """

    def __init__(self) -> None:
        self._detector = _dlib().get_frontal_face_detector()

    def box(self, pixels: Pixels) -> Rectangle | None:
        """Find the face of which the detector is surest.

        Args:
            pixels: ``(H, W, 3)`` uint8.

        Returns:
            dlib's rectangle; ``None`` without a face.
        """
        for doublings in _UPSAMPLING:
            boxes, scores, _ = self._detector.run(pixels, doublings, 0.0)
            if len(boxes):
                surest: Rectangle = boxes[int(np.argmax(scores))]
                return surest
        return None


class _DlibNetwork:
    """Finds one face per image, and its landmarks.

    Args:
        card: of the network.
        device: only the CPU will do; every other is ignored.

    Raises:
        MissingDependencyError: the packages are not installed.
        IntegrityError: a file of weights is not the published one.
    """

    def __init__(self, card: FaceNetworkCard, device: str | torch.device | None = None) -> None:
        self.device = torch.device("cpu")
        self._dlib = _dlib()
        self._faces = FrontalFaces()
        self._paths = [_checked_file(source) for source in card.files]
        hashes = "+".join(str(source.sha256)[:16] for source in card.files)
        self.identity = f"{card.name} weights={hashes}"

    def _landmarks(self, pixels: Pixels, predictor: Any) -> Any | None:
        box = self._faces.box(pixels)
        return None if box is None else predictor(pixels, box)


class DlibEmbedder(_DlibNetwork):
    """Embeddings ``(N, 128)`` of dlib's recogniser; rows of zeros where no face is found.

    Example:
        >>> from facemask_inpaint import metrics
        >>> embedder = metrics.open_extractor("dlib")  # doctest: +SKIP
    """

    def __init__(self, card: FaceNetworkCard, device: str | torch.device | None = None) -> None:
        super().__init__(card, device)
        recogniser, five_points = map(str, self._paths)
        self._predictor = self._dlib.shape_predictor(five_points)
        self._recogniser = self._dlib.face_recognition_model_v1(recogniser)
        self.identity += f" {card.rule}"

    def prepare(self, images: Tensor) -> Tensor:
        """Cut the faces out, upright.

        Args:
            images: ``(N, 3, H, W)`` uint8.

        Returns:
            ``(N, 3, 150, 150)`` in 0 to 255; NaN where no face is found.
        """
        return torch.stack([self._chip(pixels) for pixels in as_arrays(images)])

    def __call__(self, prepared: Tensor) -> Tensor:
        """Compute embeddings ``(N, 128)`` float32 of what :meth:`prepare` returned."""
        return torch.stack([self._embedding(chip) for chip in prepared])

    def _chip(self, pixels: Pixels) -> Tensor:
        landmarks = self._landmarks(pixels, self._predictor)
        if landmarks is None:
            return torch.full((3, _CHIP, _CHIP), torch.nan, dtype=torch.float32)
        chip = self._dlib.get_face_chip(pixels, landmarks, size=_CHIP, padding=0.25)
        return torch.from_numpy(chip).permute(2, 0, 1).float()

    def _embedding(self, chip: Tensor) -> Tensor:
        if chip.isnan().any():
            return torch.zeros(128)
        pixels = np.ascontiguousarray(chip.permute(1, 2, 0).byte().numpy())
        return torch.tensor(list(self._recogniser.compute_face_descriptor(pixels)))


class DlibLandmarks(_DlibNetwork):
    """Landmarks ``(N, 2 k)``: x and y of each in pixels; rows of zeros where no face is found.

    Example:
        >>> from facemask_inpaint import metrics
        >>> finder = metrics.open_extractor("dlib-68")  # doctest: +SKIP
    """

    def __init__(self, card: FaceNetworkCard, device: str | torch.device | None = None) -> None:
        super().__init__(card, device)
        self._predictor = self._dlib.shape_predictor(str(self._paths[0]))
        self._count = 68 if card.name.endswith("68") else 5

    def prepare(self, images: Tensor) -> Tensor:
        """Find the landmarks of images ``(N, 3, H, W)`` uint8."""
        return torch.stack([self._coordinates(pixels) for pixels in as_arrays(images)])

    def __call__(self, prepared: Tensor) -> Tensor:
        """Return the landmarks as they are."""
        return prepared

    def _coordinates(self, pixels: Pixels) -> Tensor:
        landmarks = self._landmarks(pixels, self._predictor)
        if landmarks is None:
            return torch.zeros(2 * self._count)
        points = [(point.x, point.y) for point in landmarks.parts()]
        return torch.tensor(points, dtype=torch.float32).flatten()


def as_arrays(images: Tensor) -> list[Pixels]:
    """Return images as dlib takes them.

    Args:
        images: ``(N, 3, H, W)`` uint8.

    Returns:
        ``(H, W, 3)`` uint8 each, contiguous.
    """
    return [np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy()) for image in images]


def _dlib() -> ModuleType:
    if not installed():
        install = FACE_NETWORKS["dlib"].install
        raise MissingDependencyError(f"dlib and its weights are not installed: {install}")
    return importlib.import_module("dlib")


@lru_cache
def _checked_file(source: Source) -> Path:
    """The file inside the installed package, whose own code needs ``pkg_resources`` to find it."""
    spec = find_spec(_WEIGHTS)
    folders = (spec.submodule_search_locations or ()) if spec else ()
    path = Path(next(iter(folders)), "models", source.filename)
    verify(path, source)
    return path
