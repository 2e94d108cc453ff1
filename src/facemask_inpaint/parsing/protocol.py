"""What a face parser is."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]
"""``(H, W)`` uint8 ids in CelebAMask-HQ order."""


class FaceParser(Protocol):
    """Anything that can be called with a photo and answers with its label map.

    A parser may have an attribute ``labels``, the names of the labels that it can give. One that
    has none is taken to give all nineteen.
    """

    def __call__(self, image: Any) -> Labels:
        """Label map of a photo.

        Args:
            image: any kind of picture that :func:`facemask_inpaint.images.decode_image` takes.

        Returns:
            ``(H, W)`` uint8 ids in CelebAMask-HQ order, of the upright picture's own size; ``l_``
            and ``r_`` are the person's own sides.

        Raises:
            ImageError: this is no picture, or no face is in it.
        """
        ...
