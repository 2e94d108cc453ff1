"""Made-up Inception weights, golden features, and a cheap extractor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from facemask_inpaint.metrics import FeatureReader, InceptionExtractor
from facemask_inpaint.metrics.features.custom import CustomExtractor, custom
from tests import official
from tests.parity.recipe import SHARED

from .synth import picture

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def inception_tensors() -> dict[str, Tensor]:
    """Under pytorch-fid's keys; never changed by a test."""
    return official.inception_tensors()


@pytest.fixture(scope="session")
def inception_file(
    inception_tensors: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """In the container of pytorch-fid's release."""
    path = tmp_path_factory.mktemp("weights") / "pt_inception.pth"
    torch.save(inception_tensors, path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture(scope="session")
def inception(inception_file: Path) -> InceptionExtractor:
    return InceptionExtractor(weights=inception_file, device="cpu")


@pytest.fixture(scope="session")
def golden() -> Mapping[str, np.ndarray]:
    """The full golden features where they are, else the bundled part of them."""
    full = SHARED / "metrics" / "cases.npz"
    return np.load(full if full.exists() else DATA / "inception.npz")


def means_and_spreads(pictures: Tensor) -> Tensor:
    """Six features per picture that cost nothing: mean and deviation of each channel."""
    flat = pictures.float().flatten(2) / 255
    return torch.cat([flat.mean(dim=2), flat.std(dim=2)], dim=1)


@pytest.fixture
def cheap() -> CustomExtractor:
    return custom(means_and_spreads, "means and spreads")


@pytest.fixture
def reader(cheap: CustomExtractor) -> FeatureReader:
    return FeatureReader(cheap, progress=False)


def write_folder(folder: Path, count: int, salt: str = "") -> Path:
    """``count`` different pictures ``000.png`` and on, 24 pixels high and 20 wide."""
    folder.mkdir(parents=True)
    for index in range(count):
        Image.fromarray(picture(24, 20, f"{salt}:{index}")).save(folder / f"{index:03d}.png")
    return folder
