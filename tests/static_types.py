"""What a type checker knows about the front door; ``test_static_types.py`` runs mypy on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import facemask_inpaint as fmi
from facemask_inpaint.typing import (
    ImageLike,
    LabelMapLike,
    LoadedImage,
    MaskLike,
    MasksLike,
)
from facemask_inpaint.verification import HiddenPixelInfluence, hidden_pixel_influence


def one_image(
    inpainter: fmi.Inpainter, pil: Image.Image, array: NDArray[np.uint8], tensor: Tensor
) -> None:
    assert_type(inpainter(pil, pil), Image.Image)
    assert_type(inpainter(array, array > 0, seed=3, blend="poisson"), NDArray[Any])
    assert_type(inpainter(np.asarray(pil), array), NDArray[Any])
    assert_type(inpainter(tensor, tensor, mask_class="hair", steps=20), Tensor)
    assert_type(inpainter("face.png", "mask.png"), Image.Image)
    assert_type(inpainter(Path("face.png"), array), Image.Image)


def several_images(
    inpainter: fmi.Inpainter, pils: list[Image.Image], tensors: tuple[Tensor, ...], mask: Tensor
) -> None:
    assert_type(inpainter(pils, mask), list[Image.Image])
    assert_type(inpainter(tensors, [mask, mask], seed=[1, 2]), tuple[Tensor, ...])
    assert_type(inpainter(pils[0], mask, num_samples=4), list[Image.Image])
    assert_type(inpainter(pils, mask, num_samples=4), list[list[Image.Image]])


def anything(
    inpainter: fmi.Inpainter, image: ImageLike, images: list[ImageLike], masks: MasksLike
) -> None:
    assert_type(inpainter(image, masks), Image.Image | NDArray[Any] | Tensor)
    assert_type(inpainter(images, masks), list[LoadedImage] | tuple[LoadedImage, ...])


def wrong_calls(inpainter: fmi.Inpainter, image: Image.Image) -> None:
    inpainter(image, image, blend="soft")  # type: ignore[call-overload]
    inpainter(image, image, no_such_option=1)  # type: ignore[call-overload]
    inpainter(image, 7)  # type: ignore[call-overload]


def conversions(image: ImageLike, mask: MaskLike) -> None:
    assert_type(fmi.images.to_rgb(image), Image.Image)
    decoded = fmi.images.decode_image(image)
    assert_type(fmi.images.decode_mask(mask, decoded.size), Tensor)
    assert_type(decoded.compose(decoded.rgb, decoded.rgb[0] > 0), LoadedImage)


def checks(inpainter: fmi.Inpainter, image: ImageLike, mask: MaskLike) -> None:
    assert_type(hidden_pixel_influence(inpainter, image, mask), HiddenPixelInfluence)


def label_maps(masker: fmi.SemanticMasker, label_map: LabelMapLike) -> None:
    masker(label_map, "hair")


def masks_have_the_type_of_their_label_map(
    masker: fmi.SemanticMasker,
    sampler: fmi.MixedMaskSampler,
    array: NDArray[np.uint8],
    tensor: Tensor,
    pil: Image.Image,
) -> None:
    assert_type(masker(array, "hair"), NDArray[Any])
    assert_type(masker(tensor, {"nose", "mouth"}), Tensor)
    assert_type(masker(pil, "G", size=256), Image.Image)
    assert_type(masker("labels.png", "hair"), Image.Image)
    assert_type(masker.all(tensor), dict[str, Tensor])
    assert_type(sampler(array, index=0).mask, NDArray[np.bool_])
    assert_type(sampler(tensor, index=0).mask, Tensor)
    assert_type(fmi.masks.flip_label_map(pil), Image.Image)
    masker(array, "hair", sice=3)  # type: ignore[call-overload]
