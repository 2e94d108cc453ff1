"""Mixed masks in a Hugging Face ``datasets`` transform.

Run with ``python examples/mixed_masks_in_a_datasets_transform.py``. A transform sees a batch of
columns, without the rows' numbers, so the data set has a column ``index``: masks are a function of
it. Where ``datasets`` is not installed a list of dictionaries with the same two methods takes its
place, and the output says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
import torch
from torch.utils.data import DataLoader

from facemask_inpaint import MixedMaskSampler, data

try:
    import datasets
except ImportError:
    datasets = None

SIZE = 256

Columns = dict[str, list[Any]]
"""A batch as ``datasets`` hands it to a transform: lists by column."""


@dataclass(frozen=True)
class AddMasks:
    """Transform for ``dataset.with_transform``: images become tensors with a mask.

    It is a value: make another one for every epoch, so that worker processes and copies of the
    data set need no shared counter.

    Attributes:
        sampler: draws the masks.
        epoch: number of the pass.
    """

    sampler: MixedMaskSampler
    epoch: int = 0

    def __call__(self, columns: Columns) -> Columns:
        """Turn image, label_map and index into pixels, mask (1 = hole) and masked."""
        samples = [
            self.sampler(np.asarray(label_map), index=index, epoch=self.epoch)
            for label_map, index in zip(columns["label_map"], columns["index"])
        ]
        return {
            "pixels": [_to_tensor(image) for image in columns["image"]],
            "mask": [torch.from_numpy(sample.mask)[None].float() for sample in samples],
            "masked": [str(sample.mask_class or "random") for sample in samples],
        }


def _to_tensor(image: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1) / 127.5 - 1


@dataclass(frozen=True)
class Rows:
    """As much of ``datasets.Dataset`` as this example uses, over a list of dictionaries."""

    rows: Sequence[Mapping[str, Any]]
    transform: Callable[[Columns], Columns] | None = None

    def with_transform(self, transform: Callable[[Columns], Columns]) -> Rows:
        """The same rows, transformed when they are read."""
        return Rows(self.rows, transform)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        columns = {name: [value] for name, value in self.rows[index].items()}
        if self.transform is not None:
            columns = self.transform(columns)
        return {name: values[0] for name, values in columns.items()}


def portraits(count: int) -> list[dict[str, Any]]:
    """Rows of a data set: an image, its label map and its number."""
    sample = data.sample(SIZE)
    label_map = sample.label_map.tolist()
    return [{"image": sample.image, "label_map": label_map, "index": i} for i in range(count)]


@click.command()
@click.option("--epochs", default=3, show_default=True)
@click.option("--plain", is_flag=True, help="Use the list even if datasets is installed.")
def main(epochs: int, plain: bool) -> None:
    """Read a masked data set for a few epochs and say which masks there were."""
    rows = portraits(12)
    if datasets is None or plain:
        print("a list of dictionaries" + ("" if plain else "; datasets is not installed"))
        dataset: Any = Rows(rows)
    else:
        print(f"datasets {datasets.__version__}")
        dataset = datasets.Dataset.from_list(rows)
    sampler = MixedMaskSampler(SIZE, semantic_probability=0.5, seed=0)
    for epoch in range(epochs):
        masked = dataset.with_transform(AddMasks(sampler, epoch))
        seen: Counter[str] = Counter()
        holes = []
        for batch in DataLoader(masked, batch_size=4, shuffle=True):
            holes.append(float(batch["mask"].mean()))
            seen.update(batch["masked"])
        masks = ", ".join(f"{count} {name}" for name, count in sorted(seen.items()))
        print(f"epoch {epoch}: {np.mean(holes):.1%} of the pixels are hole; {masks}")


if __name__ == "__main__":
    main()
