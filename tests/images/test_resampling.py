"""Resampling in strips and in parts gives what resampling the whole image gives."""

from __future__ import annotations

import pytest
import torch

from facemask_inpaint import images


@pytest.mark.parametrize("size", [(40, 30), (700, 521), (300, 512), (64, 700)])
def test_strips_agree_and_parts_are_bit_exact(size: tuple[int, int]) -> None:
    image = torch.rand(3, 300, 256, generator=torch.Generator().manual_seed(0))
    whole = images.resize(image[None], size)[0]
    strips = [image[:, start : start + 77] for start in range(0, 300, 77)]
    resampled = images.resize_strips(strips, 300, size)
    torch.testing.assert_close(resampled, whole, rtol=0, atol=1e-4)  # a fortieth of a level
    rows, columns = slice(3, size[0] - 9), slice(7, 21)
    assert torch.equal(images.resize_part(image, size, (rows, columns)), whole[:, rows, columns])
