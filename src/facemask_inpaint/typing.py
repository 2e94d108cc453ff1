"""Types of what users pass in and get back, for annotations in their own code.

Example:
    >>> from facemask_inpaint.typing import ImageLike, MaskLike
    >>> def restore(image: ImageLike, mask: MaskLike) -> ImageLike: ...
"""

from facemask_inpaint._internal.types import (
    JSON,
    Blend,
    Conditions,
    FaceChoice,
    ImageArray,
    ImageLike,
    ImagesLike,
    ImageSource,
    ImagesT,
    LoadedImage,
    LoadedImages,
    MaskLike,
    MasksLike,
    Match,
    PathLike,
    PerImage,
    Size,
    StateDict,
    Strategy,
    ValueRange,
)
from facemask_inpaint.inpainting.options import InpaintingOptions
from facemask_inpaint.masks.label_maps import LabelMapLike

__all__ = [
    "JSON",
    "Blend",
    "Conditions",
    "FaceChoice",
    "ImageArray",
    "ImageLike",
    "ImageSource",
    "ImagesLike",
    "ImagesT",
    "InpaintingOptions",
    "LabelMapLike",
    "LoadedImage",
    "LoadedImages",
    "MaskLike",
    "MasksLike",
    "Match",
    "PathLike",
    "PerImage",
    "Size",
    "StateDict",
    "Strategy",
    "ValueRange",
]
