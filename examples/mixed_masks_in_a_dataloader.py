"""Mixed masks in an ordinary PyTorch loop: three lines more than without them.

Run with ``python examples/mixed_masks_in_a_dataloader.py``. The data set here repeats the bundled
portrait; with your own, return ``{"image": tensor, "label_map": label_map}`` per item.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from facemask_inpaint import MixedMaskSampler, data
from facemask_inpaint.masks import MaskedDataset

SIZE = 256


class Portraits(Dataset[dict[str, Any]]):
    """Images ``(3, H, W)`` in [-1, 1] with their label maps."""

    def __init__(self, length: int) -> None:
        self.length = length
        sample = data.sample(SIZE)
        self.image = torch.from_numpy(np.array(sample.image)).permute(2, 0, 1) / 127.5 - 1
        self.label_map = sample.label_map

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"image": self.image, "label_map": self.label_map}


def main() -> None:
    """Train a toy network for three epochs and say which masks it saw."""
    # From random masks alone to semantic masks half of the time.
    sampler = MixedMaskSampler(SIZE, seed=0, schedule=(0.0, 0.5, 3))
    dataset = MaskedDataset(Portraits(24), sampler)
    loader = DataLoader(dataset, batch_size=4, shuffle=True, num_workers=2, persistent_workers=True)

    network = nn.Sequential(
        nn.Conv2d(4, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, 3, 5, padding=2), nn.Tanh()
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    for epoch in range(3):
        dataset.set_epoch(epoch)  # other masks in every epoch, in all workers
        seen, losses = Counter(), []
        for batch in loader:
            image, hole = batch["image"], batch["mask"]
            filled = network(torch.cat([image * (1 - hole), hole], dim=1))
            loss = (hole * (filled - image)).abs().sum() / (3 * hole.sum())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
            seen.update(name or "random" for name in batch["mask_class"])
        masks = ", ".join(f"{count} {name}" for name, count in seen.most_common())
        print(f"epoch {epoch}: loss {np.mean(losses):.3f}; {masks}")


if __name__ == "__main__":
    main()
