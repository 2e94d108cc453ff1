"""Does a network with its real weights answer as its authors' published examples do?"""

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

PROVED_SHARE = 0.99
"""Share of samples within one level from which on two answers count as the same."""

_MASK_FOLDERS = re.compile(r"(?P<head>.*)(?:images?|imgs?)(?P<tail>_\w+)?")
_LAYOUTS = (
    "images/, masks/ and results/ (or results/METHOD/), paired by name; test_img*/, test_mask*/ "
    "and results/; or NAME_input, NAME_mask and NAME_output side by side"
)


class PublishedExample(NamedTuple):
    """One published example.

    Attributes:
        name: what it is called.
        image: file of the input.
        mask: file of the mask.
        result: file of the authors' answer.
    """

    name: str
    image: Path
    mask: Path
    result: Path


@dataclass(frozen=True)
class Agreement:
    """How far an answer is the authors' own, over the samples of the hole.

    Attributes:
        name: of the example.
        psnr: in dB; infinite where both are equal.
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
    def proved(self) -> bool:
        """Whether rounding explains all but a few samples."""
        return self.within_one >= PROVED_SHARE

    def __str__(self) -> str:
        return (
            f"PSNR {self.psnr:.1f} dB, {self.equal:.1%} equal, {self.within_one:.1%} within one "
            f"level, largest difference {self.largest}"
        )


def find_published_examples(folder: str | Path) -> list[PublishedExample]:
    """Published examples below a folder, in any of the layouts of the authors' repositories.

    Args:
        folder: ``examples/ffhq_256_freeform`` of MI-GAN, ``samples`` of CMT,
            ``examples/celeba`` of MADF, or one laid out like one of them.

    Raises:
        OptionError: there is no such folder, or nothing in it that is complete.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise OptionError(f"{folder}: there is no such folder of examples")
    found = [*_side_by_side(folder), *_by_folders(folder)]
    if not found:
        raise OptionError(f"{folder} holds no examples that are complete; known: {_LAYOUTS}")
    return sorted(found)


def compare_with_published(
    inpainter: Inpainter, found: Sequence[PublishedExample]
) -> Iterator[Agreement]:
    """Fill every example's hole and compare it with the authors' answer.

    Args:
        inpainter: with the weights that the authors used.
        found: examples as returned by :func:`find_published_examples`. Whether black or white
            marks the hole in their masks is inferred from the published results, whose known
            pixels are those of the input.

    Raises:
        ImageError: a file cannot be read, or the three of an example differ in size.
    """
    loaded = [_load(one) for one in found]
    white = sum(_white_is_hole(*one) for one in loaded) * 2 >= len(loaded)
    for example, (image, mask, result) in zip(found, loaded):
        hole = mask if white else ~mask
        answer = np.asarray(inpainter(image, hole))
        apart = np.abs(answer[hole].astype(int) - result[hole].astype(int))
        error = float(np.square(apart).mean())
        yield Agreement(
            example.name,
            psnr=float(10 * np.log10(255**2 / error)) if error else float("inf"),
            equal=float((apart == 0).mean()),
            within_one=float((apart <= 1).mean()),
            largest=int(apart.max()),
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
    results = folder / "results"
    places = [results, *sorted(path for path in results.glob("*") if path.is_dir())]
    answers = {key_of(path): path for place in places for path in _images_of(place)}
    for images_folder in sorted(path for path in folder.iterdir() if path.is_dir()):
        match = _MASK_FOLDERS.fullmatch(images_folder.name)
        if match is None:
            continue
        head, tail = match["head"], match["tail"] or ""
        candidates = (folder / f"{head}{word}{tail}" for word in ("masks", "mask"))
        masks = {key_of(path): path for place in candidates for path in _images_of(place)}
        for path in _images_of(images_folder):
            key = key_of(path)
            if key in masks and key in answers:
                yield PublishedExample(key, path, masks[key], answers[key])


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
            f"example {example.name}: {example.image}, {example.mask} and {example.result} are not "
            "of one size"
        )
    return image, mask > 127, result


def _white_is_hole(image: np.ndarray, white: np.ndarray, result: np.ndarray) -> bool:
    """Whether the result departs from the input where the mask is white, rather than elsewhere."""
    if white.all() or not white.any():
        return bool(white.all())
    apart = np.abs(image.astype(int) - result.astype(int)).mean(-1)
    return bool(apart[white].mean() >= apart[~white].mean())
