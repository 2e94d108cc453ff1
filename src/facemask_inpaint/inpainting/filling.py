"""One call for a photo: say what to hide, and get it back inpainted."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, Unpack, cast, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from facemask_inpaint import images
from facemask_inpaint._internal.types import PathLike
from facemask_inpaint.errors import OptionError
from facemask_inpaint.inpainting.inpainter import Inpainter
from facemask_inpaint.inpainting.options import InpaintingOptions
from facemask_inpaint.inpainting.pretrained import weights_stamp
from facemask_inpaint.inpainting.results import FoundFace

ImageT = TypeVar("ImageT", Image.Image, NDArray[Any], Tensor)

_KEPT = 2
"""How many models stay loaded between calls."""


@dataclass(frozen=True, eq=False)
class Filled(Generic[ImageT]):
    """A photo that was inpainted.

    Printing one says how many faces were found, and which of them were filled.

    Attributes:
        image: the result: of the type, size and value range of what was given, a PIL image for a
            path.
        mask: ``(H, W)`` bool, True where the image was inpainted.
        faces: the faces that were found, the largest first.

    Example:
        >>> import facemask_inpaint as fmi
        >>> result = fmi.fill(fmi.data.sample(256).image, "eyes", device="cpu")
        >>> print(result)
        1 face, filled
    """

    image: ImageT
    mask: NDArray[np.bool_]
    faces: tuple[FoundFace, ...]
    _summary: str

    def __str__(self) -> str:
        return self._summary

    def save(self, path: str | Path) -> None:
        """Write the image in the format of the path's suffix; see ``images.save_image``.

        Raises:
            ImageError: no format has this suffix, or the format cannot hold this image.
        """
        image = self.image if isinstance(self.image, Image.Image) else images.to_rgb(self.image)
        images.save_image(image, path)


@overload
def fill(
    image: PathLike,
    mask_class: str | Sequence[str],
    /,
    *,
    model: str | Path | Inpainter = "lite",
    device: str | None = None,
    **options: Unpack[InpaintingOptions],
) -> Filled[Image.Image]: ...
@overload
def fill(
    image: ImageT,
    mask_class: str | Sequence[str],
    /,
    *,
    model: str | Path | Inpainter = "lite",
    device: str | None = None,
    **options: Unpack[InpaintingOptions],
) -> Filled[ImageT]: ...


def fill(
    image: PathLike | ImageT,
    mask_class: str | Sequence[str],
    /,
    *,
    model: str | Path | Inpainter = "lite",
    device: str | None = None,
    **options: Unpack[InpaintingOptions],
) -> Filled[Image.Image] | Filled[ImageT]:
    """Hide components of the faces in a photo, and inpaint them.

    Finds the faces, frames each as the network knows faces, inpaints it there, and puts it back;
    known pixels stay as they are, bit for bit. The model stays loaded for the next call.

    Args:
        image: a path, PIL image, array ``(H, W, 3)`` or tensor ``(3, H, W)``, of any size.
        mask_class: what to hide: a mask class such as ``"eyes"``, or several, as in
            ``"eyes,hair"`` or ``["eyes", "hair"]``, whose union is hidden.
        model: a name, folder or hub repository, as :meth:`Inpainter.from_pretrained` takes it, or
            an :class:`Inpainter`.
        device: where a model runs that is given by its name; ``None`` means CUDA when there, else
            CPU.
        **options: those of :meth:`Inpainter.inpaint`, such as ``faces="largest"``,
            ``match="tone"``, ``parser``, ``label_map`` and ``seed``.

    Returns:
        The inpainted image, the mask, and the faces that were found.

    Raises:
        ImageError: the image cannot be read, or no face is in it.
        ComponentAbsentError: no face shows the mask class.
        UnknownNameError: no model, parser or mask class has this name.
        WeightsNotFoundError: weights cannot be fetched.
        OptionError: an argument is of a wrong type or makes no sense, or there are several images.

    Example:
        >>> import facemask_inpaint as fmi
        >>> result = fmi.fill(fmi.data.sample(256).image, "eyes", device="cpu")
        >>> result.image.size
        (256, 256)
    """
    _require_one(image, options)
    joined = _joined(mask_class)
    if not isinstance(model, str | Path | Inpainter):
        raise OptionError(f"model is a name, a folder or an Inpainter, not {model!r}")
    inpainter = model if isinstance(model, Inpainter) else _loaded(model, device)
    chosen: InpaintingOptions = {**options, "mask_class": joined}
    result = inpainter.inpaint(image, **chosen)
    return Filled(cast(ImageT, result.images), result.masks[0], result.faces, str(result))


def _require_one(image: object, options: Mapping[str, object]) -> None:
    """Refuse several images, or several samples of one."""
    is_several = isinstance(image, list | tuple) or getattr(image, "ndim", 0) == 4
    if is_several or options.get("num_samples", 1) != 1:
        raise OptionError(
            "fill inpaints one image once; Inpainter.inpaint takes several, and num_samples"
        )


def _joined(mask_class: object) -> str:
    """Mask classes as one text, with commas between them."""
    names = [mask_class] if isinstance(mask_class, str) else mask_class
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise OptionError(f"mask_class is the name of a mask class, or several, not {mask_class!r}")
    return ",".join(names)


def _loaded(model: str | Path, device: str | None) -> Inpainter:
    """A model, loaded again only if its files have changed."""
    return _load(str(model), device, weights_stamp(model))


@functools.lru_cache(maxsize=_KEPT)
def _load(model: str, device: str | None, stamp: str) -> Inpainter:
    return Inpainter.from_pretrained(model, device=device)
