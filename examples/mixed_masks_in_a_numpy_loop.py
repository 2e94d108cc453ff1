"""Mixed masks in loops that take NumPy arrays, as the official MAT and LaMa repositories do.

Run with ``python examples/mixed_masks_in_a_numpy_loop.py``. Their data sets are classes with
``__len__`` and ``__getitem__`` that answer arrays and draw masks themselves; put one of the two
below in that place. The repositories disagree on what a mask's 1 means, so each class has its own
polarity and says so. Nothing here imports PyTorch, so the classes also serve other frameworks (the
library itself does import it).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from facemask_inpaint import MixedMaskSampler, data
from facemask_inpaint.masks import MaskSample

SIZE = 256

Portrait = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Image ``(H, W, 3)`` and label map ``(H, W)``."""


class MaskedPortraits:
    """Portraits that come with a mask, another one in every epoch.

    Args:
        portraits: images with their label maps.
        sampler: draws the masks.
    """

    def __init__(self, portraits: Sequence[Portrait], sampler: MixedMaskSampler) -> None:
        self.portraits = portraits
        self.sampler = sampler
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.portraits)

    def draw(self, index: int) -> tuple[NDArray[np.uint8], MaskSample]:
        """Image ``(3, H, W)`` and its mask, True = hole."""
        image, labels = self.portraits[index]
        return image.transpose(2, 0, 1), self.sampler(labels, index=index, epoch=self.epoch)


class ForMAT(MaskedPortraits):
    """As MAT's loop wants it: bytes, and **1 = known**."""

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Image ``(3, H, W)`` uint8 and ``(1, H, W)`` float32, 1 where pixels are known."""
        image, sample = self.draw(index)
        return image.copy(), np.float32(~sample.mask)[None]


class ForLaMa(MaskedPortraits):
    """As LaMa's loop wants it: floats in [0, 1], and **1 = hole**."""

    def __getitem__(self, index: int) -> dict[str, NDArray[np.float32]]:
        """``image`` ``(3, H, W)`` and ``mask`` ``(1, H, W)``, float32, 1 where pixels are hole."""
        image, sample = self.draw(index)
        return {"image": np.float32(image / 255), "mask": np.float32(sample.mask)[None]}


def fill_with_mean(image: NDArray[Any], hole: NDArray[np.float32]) -> NDArray[np.float32]:
    """The simplest of all inpainting: the mean colour of the known pixels."""
    known = 1 - hole
    mean = (image * known).sum((1, 2), keepdims=True) / known.sum()
    return np.float32(image * known + mean * hole)


@click.command()
@click.option("--epochs", default=3, show_default=True)
def main(epochs: int) -> None:
    """Read both data sets side by side and say what is in them."""
    sample = data.sample(SIZE)
    portraits = [(np.array(sample.image), sample.label_map)] * 12
    sampler = MixedMaskSampler(SIZE, semantic_probability=0.5, seed=0)
    for_mat, for_lama = ForMAT(portraits, sampler), ForLaMa(portraits, sampler)
    for epoch in range(epochs):
        for_mat.epoch = for_lama.epoch = epoch
        seen = Counter(str(for_mat.draw(i)[1].mask_class or "random") for i in range(len(for_mat)))
        errors, known, holes = [], [], []
        for index in range(len(for_lama)):
            item, keep = for_lama[index], for_mat[index][1]
            known.append(keep.mean())
            holes.append(item["mask"].mean())
            difference = np.abs(fill_with_mean(item["image"], item["mask"]) - item["image"])
            errors.append((difference * item["mask"]).sum() / (3 * item["mask"].sum()))
        masks = ", ".join(f"{count} {name}" for name, count in sorted(seen.items()))
        print(
            f"epoch {epoch}: MAT's masks {np.mean(known):.1%} ones (known), LaMa's "
            f"{np.mean(holes):.1%} ones (hole); mean colour errs by {np.mean(errors):.3f}; {masks}"
        )


if __name__ == "__main__":
    main()
