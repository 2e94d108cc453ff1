"""Mixed masks inside a PyTorch ``DataLoader``: around a data set, or in the collate function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch.utils.data import Dataset, default_collate

from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks.mixed import MaskSample, MixedMaskSampler

Item = Mapping[str, Any] | Sequence[Any]


class _Indexed(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class _Epoch:
    """A number in shared memory: workers that persist over epochs see it change."""

    def __init__(self) -> None:
        self._cell = torch.zeros((), dtype=torch.int64, device="cpu").share_memory_()

    def set(self, epoch: int) -> None:
        self._cell.fill_(epoch)

    def get(self) -> int:
        return int(self._cell)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._cell = state["_cell"].share_memory_()  # a pickled copy left shared memory


class MaskedDataset(Dataset[dict[str, Any]]):
    """A data set whose items come with a mask, another one in every epoch.

    Args:
        dataset: items are pairs ``(image, label_map)`` or mappings with ``"image"`` and
            ``"label_map"``; the label map may be None where the sampler has a bank.
        sampler: draws the masks.

    Items are dictionaries: what the wrapped item had under its keys except ``"label_map"``, and

    * ``"mask"``: ``(1, size, size)`` float32 tensor, 1 = hole;
    * ``"mask_kind"``: ``"random"`` or ``"semantic"``;
    * ``"mask_class"``: name of the class, empty for a random mask;
    * ``"index"``: number of the item.

    Call :meth:`set_epoch` before each pass, as with ``DistributedSampler``. Workers follow even
    with ``persistent_workers=True``.
    """

    def __init__(self, dataset: _Indexed, sampler: MixedMaskSampler) -> None:
        self.dataset = dataset
        self.sampler = sampler
        self._epoch = _Epoch()

    def set_epoch(self, epoch: int) -> None:
        """Say which pass begins; masks depend on it."""
        self._epoch.set(epoch)

    def __len__(self) -> int:
        """Number of items."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One item with its mask."""
        index = range(len(self))[index]  # negative numbers mean the same item, so the same mask
        item = _as_dict(self.dataset[index])
        sample = self.sampler(item.pop("label_map"), index=index, epoch=self._epoch.get())
        return {**item, **_fields(sample), "index": index}


class MaskCollator:
    """Collate function that draws the masks of a batch.

    Args:
        sampler: draws the masks.

    Items are as for :class:`MaskedDataset`, with their number besides: triples
    ``(image, label_map, index)``, or mappings with ``"index"``. Batches hold the same fields as
    its items, collated by PyTorch's default rules; the masks are equal too.
    """

    def __init__(self, sampler: MixedMaskSampler) -> None:
        self.sampler = sampler
        self._epoch = _Epoch()

    def set_epoch(self, epoch: int) -> None:
        """Say which pass begins; masks depend on it."""
        self._epoch.set(epoch)

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """Collate items and draw their masks."""
        masked = []
        for item in map(_as_dict, items):
            if "index" not in item:
                raise OptionError("a mask depends on the item's number: give items an 'index'")
            labels, index = item.pop("label_map"), int(item["index"])
            sample = self.sampler(labels, index=index, epoch=self._epoch.get())
            masked.append({**item, **_fields(sample)})
        return default_collate(masked)


def _as_dict(item: Item) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        item = dict(zip(("image", "label_map", "index"), item))
    if "image" not in item or "label_map" not in item:
        raise OptionError(
            "items must be (image, label_map) or hold 'image' and 'labels', not "
            f"{', '.join(map(str, item)) or 'nothing'}"
        )
    return dict(item)


@ordinary_torch()
def _fields(sample: MaskSample) -> dict[str, Any]:
    return {
        "mask": torch.as_tensor(sample.mask).unsqueeze(0).float(),
        "mask_kind": sample.kind,
        "mask_class": str(sample.mask_class or ""),
    }
