"""``lite``: its parts, and the weights that ship."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import facemask_inpaint as fmi
from facemask_inpaint import data, models
from facemask_inpaint.checkpoints.fetching import PACKAGE
from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks import MASK_CLASSES
from facemask_inpaint.models.lite.face_prior import FacePrior
from facemask_inpaint.models.lite.pyramid_fill import pyramid_fill

PORTRAITS = Path(__file__).parents[1] / "data_portraits"


def hole(side: int, low: int, high: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, side, side)
    mask[..., low:high, low:high] = 1
    return mask


@pytest.mark.parametrize("size", [(64, 64), (37, 50), (1, 9)])
def test_a_pyramid_continues_a_constant(size: tuple[int, int]) -> None:
    picture = torch.full((1, 3, *size), 0.7)
    mask = torch.zeros(1, 1, *size)
    mask[..., : size[1] // 2] = 1
    filled = pyramid_fill(picture * (1 - mask), mask)
    if min(size) > 1:
        assert torch.allclose(filled, picture, atol=1e-5)


def test_a_pyramid_keeps_what_is_known_and_stays_within_its_range() -> None:
    torch.manual_seed(0)
    picture, mask = torch.rand(1, 3, 64, 64), hole(64, 8, 50)
    filled = pyramid_fill(picture * (1 - mask), mask)
    assert torch.equal(
        filled[mask.expand(-1, 3, -1, -1) == 0], picture[mask.expand(-1, 3, -1, -1) == 0]
    )
    assert float(filled.min()) >= 0
    assert float(filled.max()) <= 1
    assert float(filled[..., 20:40, 20:40].std()) < 0.1


def test_a_pyramid_of_nothing_is_grey() -> None:
    assert not pyramid_fill(torch.zeros(1, 3, 16, 16), torch.ones(1, 1, 16, 16)).any()


def faces_of_two_directions(count: int) -> torch.Tensor:
    """Pictures ``(count, 3, 64, 64)`` that differ in two ways and a little noise only."""
    draws = torch.Generator().manual_seed(0)
    ways = torch.randn(2, 3, 64, 64, generator=draws)
    amounts = torch.randn(count, 2, generator=draws)
    noise = torch.randn(count, 3, 64, 64, generator=draws)
    return 0.1 + 0.1 * torch.einsum("nk,kchw->nchw", amounts, ways) + 1e-4 * noise


def test_a_prior_finds_hidden_pixels_from_known_ones() -> None:
    pictures, mask = faces_of_two_directions(40), hole(64, 10, 50)
    prior = FacePrior(64, components=2)
    prior.fit(pictures[:30])
    held_out = pictures[30:]
    answer = prior(held_out * (1 - mask), mask.expand(10, -1, -1, -1))
    hidden = mask.expand_as(answer) > 0
    assert float((answer - held_out)[hidden].abs().max()) < 5e-3
    assert float((prior.mean.view(3, 64, 64) - held_out)[hidden].abs().max()) > 0.1


def test_a_prior_keeps_the_principal_directions() -> None:
    pictures = faces_of_two_directions(40)
    prior = FacePrior(64, components=2)
    prior.fit(pictures)
    rows = pictures.flatten(1).double()
    _, _, directions = torch.linalg.svd(rows - rows.mean(dim=0), full_matrices=False)
    ours = torch.nn.functional.normalize(prior.basis.double(), dim=0)
    assert (ours.T @ directions[:2].T).abs().diagonal().tolist() == pytest.approx([1, 1], abs=1e-4)


def test_a_prior_keeps_to_its_mean_where_a_picture_is_strange() -> None:
    pictures, mask = faces_of_two_directions(40), hole(64, 10, 50)
    prior = FacePrior(64, components=2)
    prior.fit(pictures)
    odd = pictures + 0.3 * torch.randn(40, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    mean = prior.mean.view(3, 64, 64)
    usual, strange = (
        (prior(one * (1 - mask), mask.expand(40, -1, -1, -1)) - mean).abs().mean().item()
        for one in (pictures, odd)
    )
    assert strange < usual / 10


def test_a_prior_of_few_pictures_still_answers() -> None:
    pictures, mask = faces_of_two_directions(4), hole(64, 10, 50)
    prior = FacePrior(64, components=8)
    prior.fit(pictures)
    assert torch.isfinite(prior(pictures[:1] * (1 - mask), mask)).all()


def test_untrained_it_is_the_pyramid() -> None:
    network = models.create("lite", resolution=64, detail=0, widths=(8, 8, 64), depth=1)
    torch.manual_seed(0)
    picture, mask = torch.rand(1, 1, 64, 64).expand(-1, 3, -1, -1), hole(64, 20, 40)  # all grey
    answer = network(picture, mask)
    assert torch.allclose(answer, pyramid_fill(picture * (1 - mask), mask), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "said"), [({"resolution": 100}, "resolution"), ({"widths": (8, 8, 8)}, "widths")]
)
def test_sizes_that_cannot_be_are_refused(options: dict, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        models.create("lite", **options)


def test_what_ships_is_small_and_is_the_default() -> None:
    inpainter = fmi.Inpainter.from_pretrained("lite")
    assert inpainter.card is not None
    assert inpainter.card.availability == "ship with the library"
    assert sum(p.numel() for p in inpainter.network.parameters()) <= 6_000_000
    assert (PACKAGE / "models" / "weights" / "lite.safetensors").stat().st_size <= 12_000_000


def test_it_beats_the_membrane_in_every_class_on_held_out_portraits() -> None:
    faces = data.labelled_folder(PORTRAITS)
    masker = fmi.SemanticMasker(missing="empty")
    errors: dict[str, dict[str, float]] = {}
    for model in ("harmonic", "lite"):
        inpainter = fmi.Inpainter.from_pretrained(model, device="cpu")
        for name in MASK_CLASSES:
            pairs = [(face.read_image(), masker(face.read_label_map(), name)) for face in faces]
            pairs = [(image, mask) for image, mask in pairs if mask.any()]
            images, masks = zip(*pairs)
            filled = inpainter(list(images), list(masks))
            each = [
                np.abs(np.asarray(a, float) - np.asarray(b, float))[mask].mean()
                for a, b, mask in zip(images, filled, masks)
            ]
            errors.setdefault(model, {})[str(name)] = float(np.mean(each))
    for name in MASK_CLASSES:
        assert errors["lite"][name] < 0.9 * errors["harmonic"][name], name
