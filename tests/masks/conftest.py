"""Inputs that the mask tests share."""

import numpy as np
import pytest

from facemask_inpaint import data


@pytest.fixture(scope="session")
def portrait_labels() -> np.ndarray:
    """Label map of the bundled portrait, 256 x 256."""
    return data.sample(256).label_map


@pytest.fixture(scope="session")
def labels(portrait_labels: np.ndarray) -> np.ndarray:
    """The same, small enough to draw masks from thousands of times: 64 x 64."""
    return np.ascontiguousarray(portrait_labels[::4, ::4])
