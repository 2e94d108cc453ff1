"""A small CelebAMask-HQ."""

from pathlib import Path

import pytest

from tests.data.official import write_dataset


@pytest.fixture
def celebamask(tmp_path: Path) -> Path:
    """Six images on either side of a folder's border, two in each part of the partition."""
    root = tmp_path / "CelebAMask-HQ"
    write_dataset(root, [0, 1, 2, 1999, 2000, 2001])
    return root
