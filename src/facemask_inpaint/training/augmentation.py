"""Random changes of a training image together with its label map."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from facemask_inpaint.masks import FACES, Vocabulary, flip_label_map
from facemask_inpaint.masks.vocabularies import VocabularyIds
from facemask_inpaint.training.recipes import Augmentation


def augment(
    image: Tensor,
    label_map: VocabularyIds,
    augmentation: Augmentation,
    rng: np.random.Generator,
    vocabulary: Vocabulary = FACES,
) -> tuple[Tensor, VocabularyIds]:
    """Change an image and its label map alike.

    Args:
        image: ``(3, S, S)`` in [-1, 1].
        label_map: ``(S, S)`` label ids.
        augmentation: which changes are made.
        rng: decides them; the same draws are taken whatever is switched on.
        vocabulary: of the label ids; its pairs change places in a mirrored image.

    Returns:
        Image and label map, of the same shapes.
    """
    mirrored = rng.random() < augmentation.flip
    angle = rng.uniform(-1, 1) * augmentation.rotation
    jitter = rng.uniform(-1, 1, size=(3, 3)) * augmentation.colour_jitter
    if mirrored:
        image, label_map = image.flip(-1), flip_label_map(label_map, vocabulary)
    if angle:
        image, label_map = _rotated(image, label_map, angle)
    if augmentation.colour_jitter:
        image = _jittered(image, jitter)
    return image, label_map


def _rotated(
    image: Tensor, label_map: VocabularyIds, degrees: float
) -> tuple[Tensor, VocabularyIds]:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rotation = torch.tensor([[[cos, -sin, 0.0], [sin, cos, 0.0]]])
    grid = F.affine_grid(rotation, [1, 1, *label_map.shape], align_corners=False)

    def sampled(x: Tensor, mode: str) -> Tensor:
        batch: Tensor = F.grid_sample(x[None], grid, mode, "reflection", align_corners=False)
        return batch[0]

    ids = sampled(torch.from_numpy(label_map.astype(np.float32))[None], "nearest")
    return sampled(image, "bilinear"), ids[0].numpy().astype(label_map.dtype)


def _jittered(image: Tensor, draws: NDArray[np.float64]) -> Tensor:
    """Brightness, contrast and each colour channel changed by the rows of ``draws``."""
    brightness, contrast, colours = torch.from_numpy(draws).float()
    scaled = image * (1 + contrast[0]) + brightness[0]
    result: Tensor = (scaled + colours[:, None, None] / 2).clamp(-1, 1)
    return result
