"""Mixed masks in a Lightning module: one more hook than without them.

Run with ``python examples/mixed_masks_in_a_lightning_module.py``. Where Lightning is installed its
``Trainer`` drives the module, else a loop of ten lines that calls the same hooks; both see the same
masks. The data set repeats the bundled portrait; with your own, return
``{"image": tensor, "label_map": label_map}`` per item.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from facemask_inpaint import MixedMaskSampler, data
from facemask_inpaint.masks import MaskedDataset

try:
    import lightning
except ImportError:
    lightning = None

Module: Any = nn.Module if lightning is None else lightning.LightningModule
SIZE = 256


class FillingModule(Module):
    """A toy network that learns to fill holes of 50 % random, 50 % semantic masks.

    Args:
        items: anything with ``len`` and indexing that gives ``image`` and ``labels``.
    """

    def __init__(self, items: list[dict[str, Any]]) -> None:
        super().__init__()
        self.dataset = MaskedDataset(items, MixedMaskSampler(SIZE, semantic_probability=0.5))
        self.network = nn.Sequential(
            nn.Conv2d(4, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, 3, 5, padding=2), nn.Tanh()
        )
        self.seen: Counter[str] = Counter()
        self.losses: list[float] = []

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Batches with ``image``, ``mask`` (1 = hole) and ``mask_class``."""
        return DataLoader(self.dataset, batch_size=4, shuffle=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Of the toy network."""
        return torch.optim.Adam(self.parameters(), lr=5e-3)

    def on_train_epoch_start(self) -> None:
        """Other masks in every epoch: the one hook that the sampler needs."""
        self.dataset.set_epoch(self.current_epoch)

    def training_step(self, batch: dict[str, Any], batch_index: int) -> Tensor:
        """Mean absolute difference over the holes."""
        image, hole = batch["image"], batch["mask"]
        filled = self.network(torch.cat([image * (1 - hole), hole], dim=1))
        loss = (hole * (filled - image)).abs().sum() / (3 * hole.sum())
        self.losses.append(loss.item())
        self.seen.update(name or "random" for name in batch["mask_class"])
        return loss

    def on_train_epoch_end(self) -> None:
        """Say which masks the epoch had."""
        masks = ", ".join(f"{count} {name}" for name, count in sorted(self.seen.items()))
        print(f"epoch {self.current_epoch}: loss {np.mean(self.losses):.3f}; {masks}")
        self.seen.clear()
        self.losses.clear()


def fit(module: Any, epochs: int) -> None:
    """What Lightning's ``Trainer`` does, as far as this module needs it."""
    optimiser, loader = module.configure_optimizers(), module.train_dataloader()
    for module.current_epoch in range(epochs):
        module.on_train_epoch_start()
        for batch_index, batch in enumerate(loader):
            loss = module.training_step(batch, batch_index)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        module.on_train_epoch_end()


def fit_with_lightning(module: Any, epochs: int) -> None:
    """The real thing, without the files and bars that an example does not need."""
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    lightning.Trainer(max_epochs=epochs, accelerator="cpu", **quiet).fit(module)


def portraits(count: int) -> list[dict[str, Any]]:
    """Images ``(3, H, W)`` in [-1, 1] with their label maps."""
    sample = data.sample(SIZE)
    image = torch.from_numpy(np.array(sample.image)).permute(2, 0, 1) / 127.5 - 1
    return [{"image": image, "label_map": sample.label_map}] * count


@click.command()
@click.option("--epochs", default=3, show_default=True)
@click.option("--plain", is_flag=True, help="Use the plain loop even if Lightning is installed.")
def main(epochs: int, plain: bool) -> None:
    """Train a toy network and say which masks it saw."""
    torch.manual_seed(0)
    module = FillingModule(portraits(24))
    if lightning is None or plain:
        print("the plain loop drives the module" + ("" if plain else "; Lightning is missing"))
        fit(module, epochs)
    else:
        print(f"Lightning {lightning.__version__} drives the module")
        fit_with_lightning(module, epochs)


if __name__ == "__main__":
    main()
