"""Stand-ins for packages that official modules import though they hardly need them."""

from __future__ import annotations

from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from unittest.mock import MagicMock

from torch import nn

UNNEEDED = (
    *("accelerate", "blobfile", "cv2", "fla", "imageio", "kornia", "matplotlib", "mpi4py"),
    *("pytorch_lightning", "requests", "scipy", "skimage", "timm", "torchvision", "tqdm"),
)
"""Packages that official modules import at their head, though a forward pass hardly needs them."""

STAND_INS: dict[str, object] = {
    "Callback": object,
    "DropPath": lambda rate: nn.Identity(),
    "GatedLinearAttention": nn.Module,
    "LightningDataModule": object,
    "LightningModule": type("LightningModule", (nn.Module,), {"device": "cpu"}),
    "to_2tuple": lambda value: value if isinstance(value, tuple) else (value, value),
    "trunc_normal_": nn.init.trunc_normal_,
}
"""What a forward pass does need of those."""


class StandIns(MetaPathFinder, Loader):
    """Finds those of :data:`UNNEEDED` that are not installed."""

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        unneeded = name.partition(".")[0] in UNNEEDED
        return ModuleSpec(name, self, is_package=True) if unneeded else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = ModuleType(spec.name)
        module.__getattr__ = lambda name: STAND_INS.get(name, MagicMock())
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module empty."""
