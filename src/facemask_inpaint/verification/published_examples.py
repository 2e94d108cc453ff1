"""Does a network with its real weights predict what its authors' published examples show?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facemask_inpaint import Inpainter, images
from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.images.folders import key_of, list_images
from facemask_inpaint.images.formats import image_suffixes

MATCHING_SHARE = 0.99
"""Share of samples within one level from which on two results count as the same."""

_MASK_FOLDERS = re.compile(r"(?P<head>.*)(?:images?|imgs?)(?P<tail>_\w+)?")
_LAYOUTS = (
    "images/, masks/ and results/ (or results/METHOD/), paired by name; test_img*/, test_mask*/ "
    "and results/; or NAME_input, NAME_mask and NAME_output side by side"
)


class PublishedExample(NamedTuple):
    """One published example.

    Attributes:
        name: of the example.
        image: file of the input.
        mask: file of the mask.
        result: file of the authors' result.
    """

    name: str
    image: Path
    mask: Path
    result: Path


@dataclass(frozen=True)
class Agreement:
    """How well a result agrees with the authors', over the samples of the hole.

    Attributes:
        name: of the example.
        psnr: in dB; infinite where all samples are equal.
        equal: share of samples that are the same.
        within_one: share of samples that differ by one level of 255 at most.
        largest: largest difference in levels.
    """

    name: str
    psnr: float
    equal: float
    within_one: float
    largest: int

    @property
    def matches(self) -> bool:
        """Whether all but a few samples differ by no more than rounding."""
        return self.within_one >= MATCHING_SHARE

    def __str__(self) -> str:
        return (
            f"PSNR {self.psnr:.1f} dB, {self.equal:.1%} equal, {self.within_one:.1%} within one "
            f"level, largest difference {self.largest}"
        )


def find_published_examples(folder: str | Path) -> list[PublishedExample]:
    """Find published examples below a folder, in any layout of the authors' repositories.

    Args:
        folder: ``examples/ffhq_256_freeform`` of MI-GAN, ``samples`` of CMT,
            ``examples/celeba`` of MADF, or one laid out like one of them.

    Raises:
        OptionError: there is no such folder, or no complete example in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise OptionError(f"{folder}: there is no such folder of examples")
    examples = [*_side_by_side(folder), *_by_folders(folder)]
    if not examples:
        raise OptionError(f"{folder} holds no complete examples; known layouts: {_LAYOUTS}")
    return sorted(examples)


def compare_with_published(
    inpainter: Inpainter, examples: Sequence[PublishedExample]
) -> Iterator[Agreement]:
    """Inpaint every example and compare the result with the authors'.

    Args:
        inpainter: with the weights that the authors used.
        examples: as returned by :func:`find_published_examples`. Whether black or white
            marks the hole in their masks is inferred from the published results, whose known
            pixels are those of the input.

    Raises:
        ImageError: a file cannot be read, or the three of an example differ in size.
    """
    loaded = [_load(example) for example in examples]
    white_is_hole = sum(_white_is_hole(*arrays) for arrays in loaded) * 2 >= len(loaded)
    for example, (image, mask, result) in zip(examples, loaded):
        hole = mask if white_is_hole else ~mask
        composite = inpainter(image, hole)
        difference = np.abs(composite[hole].astype(int) - result[hole].astype(int))
        error = float(np.square(difference).mean())
        yield Agreement(
            example.name,
            psnr=float(10 * np.log10(255**2 / error)) if error else float("inf"),
            equal=float((difference == 0).mean()),
            within_one=float((difference <= 1).mean()),
            largest=int(difference.max()),
        )


def _side_by_side(folder: Path) -> Iterator[PublishedExample]:
    """``NAME_input``, ``NAME_mask`` and ``NAME_output`` in one folder."""
    files = {path.stem: path for path in sorted(folder.iterdir()) if _is_image(path)}
    for stem, path in files.items():
        name = stem.removesuffix("_input")
        mask, result = files.get(f"{name}_mask"), files.get(f"{name}_output")
        if name != stem and mask and result:
            yield PublishedExample(name, path, mask, result)


def _by_folders(folder: Path) -> Iterator[PublishedExample]:
    """Folders of images, of masks and of results, paired by name."""
    root = folder / "results"
    result_folders = [root, *sorted(path for path in root.glob("*") if path.is_dir())]
    results = {key_of(path): path for each in result_folders for path in _images_of(each)}
    for images_folder in sorted(path for path in folder.iterdir() if path.is_dir()):
        match = _MASK_FOLDERS.fullmatch(images_folder.name)
        if match is None:
            continue
        head, tail = match["head"], match["tail"] or ""
        candidates = (folder / f"{head}{word}{tail}" for word in ("masks", "mask"))
        masks = {key_of(path): path for each in candidates for path in _images_of(each)}
        for path in _images_of(images_folder):
            key = key_of(path)
            if key in masks and key in results:
                yield PublishedExample(key, path, masks[key], results[key])


def _images_of(folder: Path) -> list[Path]:
    return list_images(folder) if folder.is_dir() and any(map(_is_image, folder.iterdir())) else []


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in image_suffixes()


def _load(example: PublishedExample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Input and result ``(H, W, 3)`` uint8, and where the mask is white ``(H, W)``."""
    image, mask, result = (
        np.asarray(images.read_image(path).convert(mode))
        for path, mode in ((example.image, "RGB"), (example.mask, "L"), (example.result, "RGB"))
    )
    sizes = {array.shape[:2] for array in (image, mask, result)}
    if len(sizes) > 1:
        raise ImageError(
            f"example {example.name}: {example.image}, {example.mask} and {example.result} differ "
            "in size"
        )
    return image, mask > 127, result


def _white_is_hole(image: np.ndarray, white: np.ndarray, result: np.ndarray) -> bool:
    """Whether the result departs from the input where the mask is white, rather than elsewhere."""
    if white.all() or not white.any():
        return bool(white.all())
    difference = np.abs(image.astype(int) - result.astype(int)).mean(-1)
    return bool(difference[white].mean() >= difference[~white].mean())
