"""Fixture cases of the published parsers, and a parser that everyday tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemask_inpaint import data, parsing
from tests.parity.cases import Case, indices
from tests.parity.recipe import DATA, SHARED

SLOW = ("face_parsing_segformer", "cases.npz")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name in ("bisenet", "segformer"):
        if f"{name}_case" in metafunc.fixturenames:
            config = metafunc.config
            folder, salt = config.getoption("--fixtures"), config.getoption("--salt")
            # A case that both folders hold runs once, with the full answers.
            folders = [folder] if folder else [DATA, SHARED]
            found = {case.id: case for one in folders for case in _cases(one, name, salt)}
            metafunc.parametrize(f"{name}_case", [_everyday(case) for case in found.values()])


def _cases(folder: Path, name: str, salt: str) -> Iterator[Case]:
    network = f"face_parsing_{name}"
    for archive in sorted((folder / network).glob("cases*.npz")):
        yield from (Case(network, archive, index, salt) for index in indices(archive))


def _everyday(case: Case) -> object:
    slow = (case.network, case.archive.name) == SLOW
    return pytest.param(case, id=case.id, marks=[pytest.mark.slow] if slow else [])


@pytest.fixture(scope="session")
def small() -> parsing.FaceParser:
    """The parser whose weights ship with the library."""
    return parsing.load_parser("small", device="cpu")


@pytest.fixture(scope="session")
def portrait() -> data.Sample:
    """The bundled portrait of 256 pixels with its label map."""
    return data.sample(256)


@pytest.fixture(scope="session")
def street() -> Image.Image:
    """A ground to paste portraits into, 720 x 540, without a face."""
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(40, 200, (9, 12, 3), dtype=np.uint8))
    return coarse.resize((720, 540), Image.Resampling.BICUBIC)
