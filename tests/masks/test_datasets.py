"""Masks inside a PyTorch DataLoader: around a data set and in the collate function."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks import (
    AdaptiveMaskSampler,
    MaskClass,
    MaskCollator,
    MaskedDataset,
    MixedMaskSampler,
)

SIZE = 64


def sampler_of(probability: float = 0.5) -> MixedMaskSampler:
    return MixedMaskSampler(SIZE, probability, seed=4)


class Faces:
    """Sixteen items as pairs, as triples with their number, or as mappings."""

    def __init__(self, labels, form):
        self.label_map = labels
        self.form = form

    def __len__(self):
        return 16

    def __getitem__(self, index):
        image = torch.full((3, 4, 4), float(index))
        if self.form == "mapping":
            return {
                "image": image,
                "label_map": self.label_map,
                "index": index,
                "name": f"face {index}",
            }
        return (image, self.label_map, index)[: 3 if self.form == "triple" else 2]


def collected(loader):
    """Masks and kinds of one pass, in the order of the items' numbers."""
    batches = list(loader)
    order = torch.cat([batch["index"] for batch in batches]).argsort()
    kinds = [kind for batch in batches for kind in batch["mask_kind"]]
    return torch.cat([batch["mask"] for batch in batches])[order], [kinds[i] for i in order]


@pytest.fixture(scope="module")
def expected(labels):
    """Masks of epochs 0 and 1, drawn one by one."""
    sampler = sampler_of()
    return [sampler.batch([labels] * 16, indices=range(16), epoch=epoch) for epoch in range(2)]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_masks_do_not_depend_on_the_number_of_workers(
    labels: np.ndarray, expected: Any, workers: int
) -> None:
    dataset = MaskedDataset(Faces(labels, "pair"), sampler_of())
    loader = DataLoader(
        dataset,
        batch_size=3,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        generator=torch.Generator().manual_seed(workers),
    )
    for epoch in range(2):
        dataset.set_epoch(epoch)
        drawn, kinds = collected(loader)
        assert drawn.dtype == torch.float32
        assert torch.equal(drawn, expected[epoch])
        assert set(kinds) == {"random", "semantic"}


@pytest.mark.parametrize("form", ["pair", "triple"])
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_that_persist_follow_what_the_sampler_learns(
    labels: np.ndarray, form: str, start: str
) -> None:
    sampler = AdaptiveMaskSampler(SIZE, 0.5, classes="eyes,hair", strength=10)
    if form == "pair":
        dataset: Any = MaskedDataset(Faces(labels, form), sampler)
        options, followed = {}, dataset
    else:
        dataset, followed = Faces(labels, form), MaskCollator(sampler)
        options = {"collate_fn": followed}
    loader = DataLoader(
        dataset,
        batch_size=8,
        num_workers=1,
        persistent_workers=True,
        multiprocessing_context=start,
        **options,
    )
    drawn = []
    for epoch, errors in enumerate([{"eyes": 9.0, "hair": 0.1, "random": 0.1}, {}]):
        followed.set_epoch(epoch)
        drawn.append([name for batch in loader for name in batch["mask_class"]])
        sampler.on_validation(errors)
    assert {"hair", ""} <= set(drawn[0])
    alone = [sampler(labels, index=index, epoch=1).mask_class or "" for index in range(16)]
    assert drawn[1] == list(map(str, alone))
    assert "hair" not in drawn[1]


@pytest.mark.parametrize("form", ["triple", "mapping"])
@pytest.mark.parametrize("workers", [0, 2])
def test_collating_draws_the_same_masks(
    labels: np.ndarray, expected: Any, form: str, workers: int
) -> None:
    collate = MaskCollator(sampler_of())
    collate.set_epoch(1)
    loader = DataLoader(Faces(labels, form), batch_size=5, num_workers=workers, collate_fn=collate)
    drawn, _ = collected(loader)
    assert torch.equal(drawn, expected[1])


def test_items_keep_their_other_fields(labels: np.ndarray) -> None:
    dataset = MaskedDataset(Faces(labels, "mapping"), sampler_of(1.0))
    item = dataset[-1]
    assert item.keys() == {"image", "index", "name", "mask", "mask_kind", "mask_class"}
    assert (item["index"], item["name"], item["mask_kind"]) == (15, "face 15", "semantic")
    assert item["mask_class"] in list(MaskClass)
    assert torch.equal(item["mask"], dataset[15]["mask"])
    assert item["mask"].shape == (1, SIZE, SIZE)
    with pytest.raises(IndexError):
        dataset[16]


def test_a_pickled_data_set_keeps_its_epoch_and_can_change_it(
    labels: np.ndarray, expected: Any
) -> None:
    dataset = MaskedDataset(Faces(labels, "pair"), sampler_of())
    dataset.set_epoch(1)
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[3]["mask"], expected[1][3])
    copy.set_epoch(0)
    assert torch.equal(copy[3]["mask"], expected[0][3])
    assert torch.equal(dataset[3]["mask"], expected[1][3])


def test_items_without_what_is_needed_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(OptionError, match="'label_map', not x"):
        MaskedDataset([{"x": 1}], sampler_of())[0]
    with pytest.raises(OptionError, match="'index'"):
        MaskCollator(sampler_of())([(torch.zeros(3), labels)])
