"""Types of what users pass in and get back; ``facemask_inpaint.typing`` exports them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
"""What a JSON or YAML file can hold."""

State: TypeAlias = (
    "Tensor | bool | int | float | str | Sequence[State] | Mapping[str, State] | None"
)
StateDict: TypeAlias = Mapping[str, State]
"""What a checkpoint holds of something: tensors and plain values by name, nested."""

PathLike: TypeAlias = str | os.PathLike[str]
"""The path of a file or a folder."""

Size: TypeAlias = tuple[int, int]
"""Height and width in pixels."""

ValueRange: TypeAlias = tuple[float, float]
"""Lowest and highest sample of an image, such as (0, 1) or (-1, 1)."""

ImageArray: TypeAlias = NDArray[np.generic] | Tensor
"""Samples of an image: an array ``(H, W)`` or ``(H, W, C)``, or a tensor ``(H, W)`` or
``(C, H, W)``; of several images an array ``(N, H, W, C)`` or a tensor ``(N, C, H, W)``."""

LoadedImage: TypeAlias = Image.Image | ImageArray
"""An image in memory."""

LoadedImages: TypeAlias = LoadedImage | list[LoadedImage] | tuple[LoadedImage, ...]
"""An image in memory, a list or tuple of such, or a batch."""

ImageLike: TypeAlias = PathLike | LoadedImage
"""One image: a file, a PIL image, an array or a tensor; see ``images.decode_image``."""

ImagesLike: TypeAlias = ImageLike | Sequence[ImageLike]
"""One image, a list or tuple of images, or a batch; see ``images.decode_images``."""

ImagesT = TypeVar(
    "ImagesT",
    Image.Image,
    NDArray[Any],
    Tensor,
    list[Image.Image],
    list[NDArray[Any]],
    list[Tensor],
    tuple[Image.Image, ...],
    tuple[NDArray[Any], ...],
    tuple[Tensor, ...],
)
"""Images whose arrangement and type is also that of the result."""

MaskLike: TypeAlias = PathLike | LoadedImage
"""One mask, 1 / True / 255 = hole: a file, a PIL image, or an array or tensor ``(H, W)``."""

MasksLike: TypeAlias = MaskLike | Sequence[MaskLike]
"""One mask for all images, a list or tuple of one per image, or a batch ``(N, H, W)``."""

ImageSource: TypeAlias = PathLike | Iterable[ImageLike] | ImageArray
"""Many images: a folder, a list of paths, an iterable of images, or a batch."""

CropStrategy: TypeAlias = Literal["pad", "resize", "crop"]
"""How a network sees an image of another size, whatever the image shows."""

Strategy: TypeAlias = CropStrategy | Literal["face"]
"""How a network sees an image; see ``inpainting.strategies``."""

FaceChoice: TypeAlias = int | Literal["largest", "all"]
"""Which faces of a photo: ``"largest"``, ``"all"``, or one by its number, 0 being the largest."""

Match: TypeAlias = Literal["tone"]
"""What a prediction takes over from the image around the hole: its colours and its grain."""

Blend: TypeAlias = Literal["none", "feather", "poisson"]
"""How the border of a hole is treated: not at all, by cross-fading, or in the gradient domain."""

_Item = TypeVar("_Item")
PerImage: TypeAlias = _Item | Sequence[_Item]
"""One value for all images, or one per image."""


class Conditions(TypedDict, total=False):
    """What a network can be told beside an image and a mask.

    Each network takes the conditions that its ``condition_spec()`` declares and refuses others.

    Attributes:
        mask_class: name of the mask class that the hole covers, such as ``"hair"``.
        prompt: text that describes what the hole should show.
        negative_prompt: text that describes what the hole should not show.
        steps: number of denoising steps; more are slower.
        guidance_scale: weight of the prompt; 1 turns guidance off.
        sampling: name of a preset of RePaint's sampling.
        refine: whether LaMa refines large images at several scales.
    """

    mask_class: PerImage[str | None] | None
    prompt: PerImage[str | None] | None
    negative_prompt: PerImage[str | None] | None
    steps: int | None
    guidance_scale: float | None
    sampling: Literal["official", "balanced", "fast"] | None
    refine: bool | None
