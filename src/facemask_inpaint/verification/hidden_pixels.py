"""Do hidden pixels influence a prediction? They must not, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image

from facemask_inpaint import images
from facemask_inpaint._internal.types import ImageLike, MaskLike
from facemask_inpaint.errors import OptionError

InpaintFunction = Callable[[Image.Image, Image.Image], Image.Image]
"""Inpaints an RGB image under a mask of mode L, 255 = hole."""


@dataclass(frozen=True)
class HiddenPixelInfluence:
    """How much composites change when nothing but hidden pixels does, in levels of 0 to 255.

    Attributes:
        largest: largest difference of any sample.
        mean: mean difference within the hole.

    Example:
        >>> print(HiddenPixelInfluence(largest=3, mean=0.5))
        mean 0.50, largest 3 of 255 levels
    """

    largest: int
    mean: float

    @property
    def none(self) -> bool:
        """Whether all composites are the same, bit for bit."""
        return self.largest == 0

    def __str__(self) -> str:
        if self.none:
            return "none: equal bit for bit"
        return f"mean {self.mean:.2f}, largest {self.largest} of 255 levels"


def hidden_pixel_influence(
    inpaint: InpaintFunction, image: ImageLike, mask: MaskLike
) -> HiddenPixelInfluence:
    """Measure how much hidden pixels influence a prediction.

    The image is inpainted as it is, then with inverted, black, white and random pixels under the
    mask. Known pixels are the same each time.

    Args:
        inpaint: any function that inpaints, an ``Inpainter`` for example. It must return the same
            result for the same input, so fix its seed.
        image: RGB image, anything that ``Inpainter`` takes.
        mask: 255 / True = hole, of the image's size.

    Raises:
        OptionError: ``inpaint`` returns different results for the same input.

    Example:
        >>> import facemask_inpaint as fmi
        >>> sample = fmi.data.sample(256)
        >>> mask = fmi.SemanticMasker()(sample.label_map, "eyes")
        >>> inpaint = fmi.Inpainter.from_pretrained("lite", device="cpu")
        >>> print(hidden_pixel_influence(inpaint, sample.image, mask))
        none: equal bit for bit
    """
    decoded = images.decode_image(image)
    hole = images.decode_mask(mask, decoded.size).cpu().numpy()
    levels = ((decoded.rgb + 1) * 127.5).round().to(torch.uint8)
    original = rearrange(levels, "c h w -> h w c").cpu().numpy()
    mask_image = Image.fromarray(hole.astype(np.uint8) * 255)

    def composite(hidden: NDArray[np.uint8]) -> NDArray[np.int64]:
        changed = Image.fromarray(np.where(hole[..., None], hidden, original))
        return np.asarray(images.to_rgb(inpaint(changed, mask_image)), dtype=np.int64)

    reference = composite(original)
    if not np.array_equal(reference, composite(original)):
        raise OptionError("inpaint returns different results for the same input; fix its seed")
    noise = np.random.default_rng(0).integers(0, 256, original.shape, dtype=np.uint8)
    others = (255 - original, np.zeros_like(original), np.full_like(original, 255), noise)
    changes = np.stack([np.abs(composite(hidden) - reference) for hidden in others])
    return HiddenPixelInfluence(int(changes.max()), float(changes[:, hole].mean()))
