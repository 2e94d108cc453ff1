"""Inputs that the mask tests share."""

import numpy as np
import pytest

from facemask_inpaint import data


@pytest.fixture(scope="session")
def portrait_labels() -> np.ndarray:
    """Label map of the bundled portrait, 256 x 256."""
    return data.sample(256).labels
