"""The discriminator of the small network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from facemask_inpaint.data import open_faces
from facemask_inpaint.masks import MixedMaskSampler
from facemask_inpaint.training import losses
from facemask_inpaint.training.dataset import Batch, TrainingImages
from facemask_inpaint.training.discriminators import PatchDiscriminator, detail
from facemask_inpaint.training.recipes import Augmentation


def test_detail_is_what_a_slope_has_none_of() -> None:
    slope = torch.linspace(-1, 1, 16).expand(1, 3, 16, 16)
    assert detail(slope)[..., 2:-2].abs().max() < 1e-6
    dot = torch.zeros(1, 3, 9, 9)
    dot[..., 4, 4] = 1
    assert torch.allclose(detail(dot)[..., 4, 4], torch.tensor(24 / 25))


def test_softness_is_noticed_within_a_few_steps(portraits: Path) -> None:
    torch.manual_seed(0)
    sampler = MixedMaskSampler(64, 1.0, classes="face_oval")
    images = TrainingImages(open_faces(portraits), 64, sampler, Augmentation(), seed=0)
    discriminator = PatchDiscriminator(width=16, levels=3)
    adam = torch.optim.Adam(discriminator.parameters(), lr=4e-4, betas=(0.5, 0.99))
    steps = [list(range(8 * step, 8 * step + 8)) for step in range(24)]
    for batch in images.batches(steps, 0):
        loss = discriminator_loss(discriminator, batch)
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert loss.item() < 0.2  # from ln 2; a discriminator of plain images is at 0.45 by then


def test_a_large_hole_counts_less_where_asked() -> None:
    hole = torch.zeros(3, 1, 64, 64)
    hole[0, :, :8, :8] = 1  # of 64 patches of 8 x 8: 1, 4 and all
    hole[1, :, :16, :16] = 1
    hole[2] = 1
    image = torch.zeros(3, 3, 64, 64)
    for options, totals in (({}, [1, 1, 1]), ({"patch_limit": 4}, [1, 1, 4 / 64])):
        weight = PatchDiscriminator(width=4, levels=3, **options)(image, hole).weight
        assert weight is not None
        assert weight.sum(dim=1).tolist() == pytest.approx(totals)


def discriminator_loss(discriminator: PatchDiscriminator, batch: Batch) -> Tensor:
    """The discriminator's loss on portraits and portraits with a blurred hole."""
    blurred = F.avg_pool2d(batch.image, 5, stride=1, padding=2)
    soft = torch.where(batch.hole > 0, blurred, batch.image)
    real, fake = discriminator(batch.image, batch.hole), discriminator(soft, batch.hole)
    each = losses.mean_logistic(real.logits, real.weight)
    return (each + losses.mean_logistic(-fake.logits, fake.weight)).mean() / 2
