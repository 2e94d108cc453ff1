"""Is a filled image consistent with itself? A diagnostic for people who have no original.

Chen et al., "Assessing Image Inpainting via Re-Inpainting Self-Consistency Evaluation"
(arXiv 2405.16263): random patches of the known pixels are hidden, and a network fills them with the
help of everything else, the earlier prediction included. The better that prediction fits what was
known, the closer the new image is to the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from facemask_inpaint import images
from facemask_inpaint._internal.types import ImageLike, MaskLike
from facemask_inpaint.errors import OptionError
from facemask_inpaint.verification.hidden_pixels import InpaintFunction

DistanceFunction = Callable[[Tensor, Tensor], float]
"""Compares two images ``(3, H, W)`` in [0, 1]."""

PATCHES_PER_SIDE = 16


@dataclass(frozen=True)
class SelfConsistency:
    """Distances between a filled image and fills of patch-masked versions of it.

    Attributes:
        distances: one for each pass.

    Example:
        >>> print(SelfConsistency((0.1, 0.3)))
        0.2 ± 0.1 over 2 passes
    """

    distances: tuple[float, ...]

    def __float__(self) -> float:
        return float(np.mean(self.distances))

    def __str__(self) -> str:
        spread = float(np.std(self.distances))
        return f"{float(self):.3g} ± {spread:.2g} over {len(self.distances)} passes"


def self_consistency(
    inpaint: InpaintFunction,
    filled: ImageLike,
    mask: MaskLike,
    *,
    passes: int = 10,
    share: float = 0.4,
    distance: DistanceFunction | None = None,
    seed: int = 0,
) -> SelfConsistency:
    """Measure how consistent a filled image is with itself; 0 is best.

    The image is cut into a grid of squares, sixteen along its shorter side. In each pass a random
    share of them is hidden, as far as they lie outside the hole, and filled anew.

    Args:
        inpaint: any function that inpaints, such as an ``Inpainter``; it fills the patches. It need
            not be what filled the hole; to compare methods, take one function for all of them.
        filled: RGB image whose hole has been filled.
        mask: the hole, 255 / True; of the image's size.
        passes: number of patch masks.
        share: of the squares that a pass hides, between 0 and 1.
        distance: compares two images ``(3, H, W)`` in [0, 1]; ``None`` is LPIPS of AlexNet.
        seed: of the patch masks.

    Raises:
        OptionError: no passes, a share outside (0, 1), or a mask that leaves nothing to hide.
        WeightsNotFoundError: the weights of LPIPS cannot be had.

    Example:
        >>> import facemask_inpaint as fmi
        >>> sample = fmi.data.sample(256)
        >>> hole = fmi.SemanticMasker()(sample.label_map, "nose")
        >>> inpaint = fmi.Inpainter.from_pretrained("harmonic", device="cpu")
        >>> def difference(first, second):
        ...     return float((first - second).abs().mean())
        >>> filled = inpaint(sample.image, hole)
        >>> result = self_consistency(inpaint, filled, hole, passes=3, distance=difference)
        >>> 0 < float(result) < 0.05
        True
    """
    if passes < 1 or not 0 < share < 1:
        raise OptionError(f"passes = {passes}, share = {share}: at least 1, and between 0 and 1")
    decoded = images.decode_image(filled)
    hole = images.decode_mask(mask, decoded.size).cpu().numpy()
    pixels = ((decoded.rgb.cpu() + 1) * 127.5).round().to(torch.uint8)
    levels = rearrange(pixels, "c h w -> h w c").numpy()
    compare = distance or _lpips()
    generator = np.random.default_rng(seed)
    distances = []
    for _ in range(passes):
        patches = patch_mask(hole, share, generator)
        refilled = inpaint(Image.fromarray(levels), Image.fromarray(patches.astype(np.uint8) * 255))
        second = np.where(patches[..., None], np.asarray(images.to_rgb(refilled)), levels)
        distances.append(compare(_as_tensor(levels), _as_tensor(second)))
    return SelfConsistency(tuple(distances))


def patch_mask(
    hole: NDArray[np.bool_], share: float, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Return a mask of random squares of a grid, without the pixels of a hole.

    Args:
        hole: ``(H, W)`` bool.
        share: of the squares.
        generator: draws them.

    Returns:
        ``(H, W)`` bool.

    Raises:
        OptionError: all squares lie inside the hole.
    """
    side = max(1, min(hole.shape) // PATCHES_PER_SIDE)
    rows, columns = (-(-length // side) for length in hole.shape)
    chosen = np.zeros(rows * columns, dtype=bool)
    count = max(1, round(share * len(chosen)))
    chosen[generator.choice(len(chosen), count, replace=False)] = True
    grid = np.kron(chosen.reshape(rows, columns), np.ones((side, side), dtype=bool))
    patches: NDArray[np.bool_] = grid[: hole.shape[0], : hole.shape[1]] & ~hole
    if not patches.any():
        raise OptionError("the mask leaves no known pixels to hide; self-consistency needs some")
    return patches


def _as_tensor(levels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(rearrange(levels, "h w c -> c h w") / np.float32(255))


def _lpips() -> DistanceFunction:
    from facemask_inpaint.metrics.features.perceptual import shared_perceptual_distance

    network = shared_perceptual_distance(torch.device("cpu"))
    return lambda first, second: network.measure(first, second, None)
