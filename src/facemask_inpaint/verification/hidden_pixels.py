"""Does what a mask hides have any influence on the answer? It must have none, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from PIL import Image

from facemask_inpaint import images
from facemask_inpaint.errors import OptionError

Fill = Callable[[Image.Image, Image.Image], Image.Image]
"""Fills the hole of an RGB image; the mask is of mode L, 255 = hole."""


@dataclass(frozen=True)
class HiddenPixelInfluence:
    """How far answers move when nothing but hidden pixels changes, in levels of 0 to 255.

    Attributes:
        largest: the largest difference of any sample.
        mean: the mean difference within the hole.
    """

    largest: int
    mean: float

    @property
    def none(self) -> bool:
        """Whether every answer is the same, bit for bit."""
        return self.largest == 0

    def __str__(self) -> str:
        if self.none:
            return "none: equal bit for bit"
        return f"mean {self.mean:.2f}, largest {self.largest} of 255 levels"


def hidden_pixel_influence(fill: Fill, image: object, mask: object) -> HiddenPixelInfluence:
    """Measure what hidden pixels do to an answer.

    The hole of the image is filled as it is given, then once more with inverted, black, white
    and random pixels under the mask. Known pixels are the same each time.

    Args:
        fill: any way to fill a hole, an ``Inpainter`` for example. It must give the same answer
            for the same input, so fix its seed.
        image: RGB image, anything that ``Inpainter`` takes.
        mask: 255 / True = hole, of the image's size.

    Raises:
        OptionError: ``fill`` answers an equal input differently.

    Example:
        >>> import facemask_inpaint as fmi
        >>> sample = fmi.data.sample(256)
        >>> mask = fmi.SemanticMasker()(sample.label_map, "eyes")
        >>> fill = fmi.Inpainter.from_pretrained("lite", device="cpu")
        >>> print(hidden_pixel_influence(fill, sample.image, mask))
        none: equal bit for bit
    """
    (picture,), _ = images.decode_images(image)
    (hole,) = images.decode_masks(mask, [picture.size])
    levels = ((picture.rgb + 1) * 127.5).round().to(torch.uint8)
    known = rearrange(levels, "c h w -> h w c").cpu().numpy()
    inside = hole.cpu().numpy()
    drawn = Image.fromarray(inside.astype(np.uint8) * 255)

    def answer(hidden: np.ndarray) -> np.ndarray:
        shown = np.where(inside[..., None], hidden, known)
        return np.asarray(images.to_rgb(fill(Image.fromarray(shown), drawn)), dtype=int)

    reference = answer(known)
    if not np.array_equal(reference, answer(known)):
        raise OptionError("fill answers the same input differently; fix its seed")
    noise = np.random.default_rng(0).integers(0, 256, known.shape, dtype=np.uint8)
    others = (255 - known, np.zeros_like(known), np.full_like(known, 255), noise)
    moved = np.stack([np.abs(answer(hidden) - reference) for hidden in others])
    return HiddenPixelInfluence(int(moved.max()), float(moved[:, inside].mean()))
