"""A handful of portraits, and a recipe that trains on them in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemask_inpaint import data
from facemask_inpaint.training import Losses, Optimiser, Recipe

SIDE = 64


@pytest.fixture(scope="session")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: six windows of the bundled portrait with their label maps."""
    root = tmp_path_factory.mktemp("portraits")
    sample = data.sample(256)
    labels = Image.fromarray(sample.label_map)
    names = []
    for number, shift in enumerate(np.linspace(0, 40, 6).astype(int)):
        window = (int(shift), 0, int(shift) + 216, 216)
        for folder, image in (("images", sample.image), ("labels", labels)):
            (root / folder).mkdir(exist_ok=True)
            image.crop(window).save(root / folder / f"{number}.png")
        names.append(str(number))
    (root / "train.txt").write_text("\n".join(names[:4]))
    (root / "test.txt").write_text("\n".join(names[4:]))
    return root


@pytest.fixture
def recipe() -> Recipe:
    """A small ``lite`` with every loss that needs no weights, from the second step on."""
    return Recipe(
        name="tiny",
        architecture="lite",
        options={"resolution": SIDE, "widths": (16, 24, 64), "depth": 1, "detail": 8},
        resolution=SIDE,
        batch_size=4,
        steps=12,
        losses=Losses(hole_l1=10, feature_matching=5, r1=1, r1_every=3, adversarial_from=2),
        generator=Optimiser(learning_rate=2e-3, betas=(0.5, 0.99), warmup_steps=3, decay_start=0.5),
        discriminator_options={"width": 8},
        ema_half_life=20,
        validate_every=0,
        save_every=4,
    )
