"""Holes out of a folder of mask files, as partial-convolution networks and their heirs train with.

The files usually are the irregular masks of Liu et al., "Image Inpainting for Irregular Holes Using
Partial Convolutions", ECCV 2018, which MADF and AOT-GAN are trained with as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image

from facemask_inpaint import images
from facemask_inpaint.errors import OptionError
from facemask_inpaint.images.folders import list_images
from facemask_inpaint.masks.freeform import ATTEMPTS
from facemask_inpaint.masks.morphology import Hole

HoleColour = Literal["white", "black"]


class IrregularMasks:
    """Draws a mask file, mirrors and rotates it; a hole generator for the mask samplers.

    MADF trains with ``rotation=(-10, 10)``, AOT-GAN with ``rotation=(0, 45)``. Pickles.

    Args:
        folder: mask files of any size.
        hole_colour: what marks the hole in the files. The published training and test masks differ
            in this, so it has no default.
        rotation: range of the rotation in degrees, counter-clockwise.

    Raises:
        ImageError: The folder holds no images.
        OptionError: The colour is neither white nor black.

    Example:
        >>> random = IrregularMasks("irregular/train", hole_colour="white")  # doctest: +SKIP
        >>> sampler = MixedMaskSampler(512, random=random)  # doctest: +SKIP
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        hole_colour: HoleColour,
        rotation: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        if hole_colour not in get_args(HoleColour):
            raise OptionError(f"hole_colour is 'white' or 'black', not {hole_colour!r}")
        self.files = list_images(Path(folder))
        self.hole_colour = hole_colour
        self.rotation = rotation

    def __call__(self, size: int, rng: np.random.Generator) -> Hole:
        """Draw a hole ``(size, size)`` bool, True = hole.

        Raises:
            ImageError: A file cannot be read.
            MaskError: A file holds no mask.
            OptionError: No file gave a hole that leaves something known.
        """
        for _ in range(ATTEMPTS):
            hole = self._draw(size, rng)
            if hole.any() and not hole.all():
                return hole
        raise OptionError(
            f"{ATTEMPTS} draws out of {len(self.files)} mask files gave no hole, or nothing but "
            f"hole; is hole_colour={self.hole_colour!r} right?"
        )

    def _draw(self, size: int, rng: np.random.Generator) -> Hole:
        white = images.as_hole(self.files[int(rng.integers(len(self.files)))]).numpy()
        resized = Image.fromarray(white).resize((size, size), Image.Resampling.NEAREST)
        hole = np.asarray(resized) == (self.hole_colour == "white")
        if rng.random() < 0.5:
            hole = hole[:, ::-1]
        turned = Image.fromarray(hole).rotate(rng.uniform(*self.rotation))
        return np.array(turned, dtype=bool)
