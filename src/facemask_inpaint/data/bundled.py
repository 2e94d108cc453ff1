"""The portrait that ships inside the package, with its label map."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemask_inpaint.errors import OptionError

SAMPLE_SIZES = (256, 512)
"""Resolutions that :func:`sample` offers."""


@dataclass(frozen=True)
class Sample:
    """A portrait and where its facial components are.

    Attributes:
        image: RGB image.
        label_map: ``(H, W)`` uint8, CelebAMask-HQ label ids.
        provenance: where both come from and under which terms.

    Example:
        >>> from facemask_inpaint import data
        >>> data.sample(256).image.size
        (256, 256)
    """

    image: Image.Image
    label_map: NDArray[np.uint8]
    provenance: str

    @property
    def labels(self) -> NDArray[np.uint8]:
        """The label map, under the name that scripts in circulation use."""
        return self.label_map


def sample(size: int = 512) -> Sample:
    """Return the bundled portrait: astronaut Eileen Collins, a public-domain photograph by NASA.

    All twelve mask classes occur in it; of the labels, eyeglasses, hat, earring and necklace do
    not.

    Args:
        size: 256, the native resolution, or 512, upsampled.

    Raises:
        OptionError: The portrait does not ship in this size.

    Example:
        >>> from facemask_inpaint import data
        >>> data.sample().label_map.shape
        (512, 512)
    """
    if size not in SAMPLE_SIZES:
        raise OptionError(f"the sample portrait comes in {SAMPLE_SIZES} pixels, not {size!r}")
    folder = resources.files(__package__) / "samples"
    return Sample(
        image=_read(folder / f"portrait_{size}.png"),
        label_map=np.array(_read(folder / f"labels_{size}.png")),
        provenance=(folder / "README.md").read_text(encoding="utf-8"),
    )


def _read(file: Traversable) -> Image.Image:
    with file.open("rb") as stream, Image.open(stream) as image:
        image.load()
        return image
