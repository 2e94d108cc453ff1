"""Mixed masks in a PyTorch ``DataLoader``: around a data set, or in the collate function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate, get_worker_info

from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks.mixed import MaskSample, MixedMaskSampler

Item: TypeAlias = Mapping[str, object] | Sequence[object]


class _Indexed(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Item: ...


class _Shared:
    """The epoch and a sampler's probabilities, in shared memory.

    Workers that persist over epochs work with copies of the sampler from when they were started,
    and see here what has changed since.
    """

    def __init__(self, sampler: MixedMaskSampler) -> None:
        cells = [0.0, sampler.semantic_probability, *sampler.class_weights]
        self._cells: Tensor = torch.tensor(cells, dtype=torch.float64, device="cpu")
        self._share()
        self._followed: list[float] | None = None

    def publish(self, epoch: int, sampler: MixedMaskSampler) -> None:
        """Let all workers know the epoch, and what the sampler has learnt."""
        cells = [epoch, sampler.semantic_probability, *sampler.class_weights]
        self._cells.copy_(torch.tensor(cells, dtype=torch.float64, device="cpu"))

    def follow(self, sampler: MixedMaskSampler) -> int:
        """Return the epoch; in a worker, give its sampler what was published since it started."""
        epoch, *probabilities = self._cells.tolist()
        if get_worker_info() is not None and probabilities != self._followed:
            if self._followed is not None:
                sampler.semantic_probability, *sampler.class_weights = probabilities
            self._followed = probabilities
        return int(epoch)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._share()  # a pickled copy left shared memory

    def _share(self) -> None:
        self._cells.share_memory_()  # type: ignore[no-untyped-call,unused-ignore]


class MaskedDataset(Dataset[dict[str, Any]]):
    """A data set whose items come with a mask, a new one in every epoch.

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
    with ``persistent_workers=True``, and then take up what an
    :class:`~facemask_inpaint.masks.AdaptiveMaskSampler` has learnt from validation too.

    Example:
        >>> from facemask_inpaint import MixedMaskSampler, data
        >>> from facemask_inpaint.masks import MaskedDataset
        >>> sample = data.sample(256)
        >>> items = [{"image": sample.image, "label_map": sample.label_map}]
        >>> MaskedDataset(items, MixedMaskSampler(256))[0]["mask"].shape
        torch.Size([1, 256, 256])
    """

    def __init__(self, dataset: _Indexed, sampler: MixedMaskSampler) -> None:
        self.dataset = dataset
        self.sampler = sampler
        self._shared = _Shared(sampler)

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the pass that begins; masks depend on it."""
        self._shared.publish(epoch, self.sampler)

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one item with its mask."""
        index = range(len(self))[index]  # negative numbers mean the same item, so the same mask
        item = _as_dict(self.dataset[index])
        epoch = self._shared.follow(self.sampler)
        sample = self.sampler(item.pop("label_map"), index=index, epoch=epoch)
        return {**item, **_fields(sample), "index": index}


class MaskCollator:
    """Collate function that draws the masks of a batch.

    Args:
        sampler: draws the masks.

    Items are as for :class:`MaskedDataset`, with their number besides: triples
    ``(image, label_map, index)``, or mappings with ``"index"``. Batches hold the same fields as
    its items, collated by PyTorch's default rules; the masks are equal too.

    Example:
        >>> import torch
        >>> from facemask_inpaint import MixedMaskSampler, data
        >>> from facemask_inpaint.masks import MaskCollator
        >>> item = (torch.zeros(3, 256, 256), data.sample(256).label_map, 0)
        >>> MaskCollator(MixedMaskSampler(256))([item, item])["mask"].shape
        torch.Size([2, 1, 256, 256])
    """

    def __init__(self, sampler: MixedMaskSampler) -> None:
        self.sampler = sampler
        self._shared = _Shared(sampler)

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the pass that begins; masks depend on it."""
        self._shared.publish(epoch, self.sampler)

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """Collate items and draw their masks."""
        epoch = self._shared.follow(self.sampler)
        masked = []
        for item in map(_as_dict, items):
            if "index" not in item:
                raise OptionError("a mask depends on the item's number: give items an 'index'")
            labels, index = item.pop("label_map"), int(item["index"])
            sample = self.sampler(labels, index=index, epoch=epoch)
            masked.append({**item, **_fields(sample)})
        batch: dict[str, Any] = default_collate(masked)
        return batch


def _as_dict(item: Item) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        item = dict(zip(("image", "label_map", "index"), item))
    if "image" not in item or "label_map" not in item:
        raise OptionError(
            "items must be (image, label_map) or hold 'image' and 'label_map', not "
            f"{', '.join(map(str, item)) or 'nothing'}"
        )
    return dict(item)


@ordinary_torch()
def _fields(sample: MaskSample[Any]) -> dict[str, Any]:
    return {
        "mask": torch.as_tensor(sample.mask).unsqueeze(0).float(),
        "mask_kind": sample.kind,
        "mask_class": str(sample.mask_class or ""),
    }
