"""What a face parser is: the protocol that the masker relies on."""

from __future__ import annotations

from typing import Protocol

from facemask_inpaint._internal.types import ImageLike
from facemask_inpaint.labels import LabelIds


class FaceParser(Protocol):
    """Anything that can be called with a photo and returns its label map.

    A parser may have an attribute ``labels``, the names of the labels that it can find. One that
    has none is taken to find all nineteen.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import SemanticMasker, data
        >>> def parser(image):  # your own network; here one that finds hair everywhere
        ...     return np.full(image.size[::-1], 13, np.uint8)
        >>> mask = SemanticMasker(parser=parser)(data.sample(256).image, "hair")
        >>> mask.size
        (256, 256)
    """

    def __call__(self, image: ImageLike) -> LabelIds:
        """Return the label map of a photo.

        Args:
            image: anything that :func:`facemask_inpaint.images.decode_image` takes.

        Returns:
            ``(H, W)`` uint8 label ids in the order of CelebAMask-HQ, of the upright image's own
            size; ``l_`` and ``r_`` are the person's own left and right.

        Raises:
            ImageError: This is no image, or no face is in it.
        """
        ...
