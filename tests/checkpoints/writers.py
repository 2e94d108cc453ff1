"""Writers of real checkpoint files, with the foreign modules that their pickles name.

The foreign packages exist only while a file is being written: reading must not need them.
"""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

PERSISTENCE = "torch_utils.persistence"
STYLEGAN_SOURCE = "import os\nopen({marker!r}, 'w').write('the embedded source ran')\n"


@contextmanager
def foreign_modules(**members: dict[str, Any]) -> Iterator[None]:
    """Modules of these names (``__`` for a dot) with these members, importable for a while."""
    names = [name.replace("__", ".") for name in members]
    for name, content in zip(names, members.values()):
        parts = name.split(".")
        for end in range(1, len(parts)):
            sys.modules.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
        module = sys.modules.setdefault(name, types.ModuleType(name))
        for key, value in content.items():
            setattr(module, key, value)
            if isinstance(value, type) or callable(value):
                value.__module__, value.__qualname__ = name, key
    try:
        yield
    finally:
        roots = {name.partition(".")[0] for name in names}
        for name in [one for one in sys.modules if one.partition(".")[0] in roots]:
            del sys.modules[name]


class EasyDict(dict):
    """Shape of ``dnnlib.EasyDict``: a dictionary that pickles as an object with items."""


def _reconstruct_persistent_obj(meta: dict[str, Any]) -> None:
    raise AssertionError("a reader called the file's own loader")


class Persistent(nn.Module):
    """Shape of a class decorated by ``torch_utils.persistence``: pickles as one dictionary."""

    source = ""

    def __reduce__(self) -> tuple[Any, ...]:
        meta = {
            "type": "class",
            "version": 6,
            "module_src": type(self).source,
            "class_name": type(self).__name__,
            "state": self.__dict__,
        }
        return _reconstruct_persistent_obj, (meta,), None


class Node(nn.Module):
    """A module whose answer does not matter."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 1


def module_tree(tensors: Mapping[str, Tensor], kind: type[nn.Module] = Node) -> nn.Module:
    """Nested modules that hold ``tensors``: parameters, and buffers by their names."""
    root = kind()
    for key, tensor in tensors.items():
        *path, leaf = key.split(".")
        module = root
        for name in path:
            if name not in module._modules:
                module.add_module(name, kind())
            module = module._modules[name]
        if leaf in _BUFFERS or not tensor.is_floating_point():
            module.register_buffer(leaf, tensor)
        else:
            module.register_parameter(leaf, nn.Parameter(tensor, requires_grad=False))
    return root


_BUFFERS = frozenset(
    {"noise_const", "filter_const", "attn_mask", "resample_filter", "w_avg"}
    | {"running_mean", "running_var"}
)


class Layer(Persistent):
    def __init__(self, width: int, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self._init_args = (width,)
        self._init_kwargs = {"downsample": downsample, "act_layer": nn.GELU}
        self.weight = nn.Parameter(torch.randn(width, width, 3, 3))
        self.bias = None
        self.register_buffer("noise_const", torch.randn(width, width))
        self.register_buffer("attn_mask", None)
        self.register_buffer("cache", torch.zeros(3), persistent=False)
        self.weight_maskUpdater = torch.ones(1, 1, 3, 3)
        self.weight_gain = np.float64(0.25)
        self.resolution = 2**512
        if downsample is not None:
            self.downsample = downsample


class Generator(Persistent):
    def __init__(self, width: int) -> None:
        super().__init__()
        self._init_args = ()
        self._init_kwargs = EasyDict(
            z_dim=512, img_resolution=512, mapping_kwargs=EasyDict(num_layers=8)
        )
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.blocks = nn.ModuleList([Layer(width), Layer(width, downsample=Layer(width))])
        self.head = nn.Sequential(Layer(1), nn.Softmax(dim=-1))


def write_stylegan2_ada(path: Path, width: int, marker: Path, protocol: int) -> Generator:
    """Snapshot with ``G``, ``D`` and ``G_ema`` as the official training loop writes it."""
    Persistent.source = STYLEGAN_SOURCE.format(marker=str(marker))
    networks = [Generator(width).eval().requires_grad_(False) for _ in range(3)]
    ema = networks[2]
    # Constructor arguments were copied when they were given: the copy is not the trained module.
    ema.blocks[1]._init_kwargs["downsample"] = Layer(width)
    path.write_bytes(stylegan2_ada_snapshot(*networks, protocol=protocol))
    return ema


def stylegan2_ada_snapshot(
    generator: nn.Module, critic: nn.Module, average: nn.Module, protocol: int = 4
) -> bytes:
    """The official training loop's snapshot of persistent modules."""
    snapshot = {
        "training_set_kwargs": {"class_name": "D", "path": "faces.zip", "resolution": 512},
        "G": generator,
        "D": critic,
        "G_ema": average,
        "augment_pipe": None,
    }
    with foreign_modules(
        torch_utils__persistence={"_reconstruct_persistent_obj": _reconstruct_persistent_obj},
        dnnlib__util={"EasyDict": EasyDict},
    ):
        return pickle.dumps(snapshot, protocol=protocol)


class Network:
    """Shape of ``dnnlib.tflib.network.Network``: pickles as class plus state dictionary."""

    def __init__(self, name: str, variables: list[tuple[str, Any]], source: str) -> None:
        self.state = {
            "version": 4,
            "name": name,
            "static_kwargs": EasyDict(resolution=32, gain=np.float32(1.5)),
            "components": {},
            "build_module_src": source,
            "build_func_name": "G_main",
            "variables": variables,
        }

    def __getstate__(self) -> dict[str, Any]:
        return self.state

    def __setstate__(self, state: dict[str, Any]) -> None:
        raise AssertionError("a reader gave the state to the file's own class")


def write_tensorflow(
    path: Path, arrays: dict[str, np.ndarray], marker: Path, protocol: int = 4
) -> None:
    """``(G, D, Gs)`` whose Gs has ``arrays`` in its synthesis component and one own scalar."""
    source = STYLEGAN_SOURCE.format(marker=str(marker))
    zeros = [(name, np.zeros_like(value)) for name, value in arrays.items()]
    mean = Network("Gs", [("lod", np.float32(0.5))], source)
    mean.state["components"] = {
        "synthesis": Network("G_synthesis", list(arrays.items()), source),
    }
    networks = (Network("G", zeros, source), Network("D", [], source), mean)
    path.write_bytes(tensorflow_pickle(networks, protocol))


def tensorflow_pickle(networks: tuple[Network, ...], protocol: int = 4) -> bytes:
    """``(G, D, Gs)`` as the official training loop pickles them."""
    with foreign_modules(
        dnnlib__tflib__network={"Network": Network}, dnnlib__util={"EasyDict": EasyDict}
    ):
        return pickle.dumps(networks, protocol=protocol)


def write_lightning(path: Path, weights: dict[str, Tensor], **options: Any) -> None:
    """Checkpoint as Lightning 1.2 writes it, with OmegaConf hyper-parameters and callbacks."""

    class DictConfig:
        pass

    class AnyNode:
        pass

    class ModelCheckpoint:
        pass

    class AttributeDict(dict):
        pass

    config, node = DictConfig(), AnyNode()
    node.__dict__["_val"] = 0.75
    config.__dict__.update(_content={"ratio_gin": node}, _metadata=None)
    with foreign_modules(
        omegaconf__dictconfig={"DictConfig": DictConfig},
        omegaconf__nodes={"AnyNode": AnyNode},
        pytorch_lightning__callbacks__model_checkpoint={"ModelCheckpoint": ModelCheckpoint},
        pytorch_lightning__utilities__parsing={"AttributeDict": AttributeDict},
    ):
        content = {
            "epoch": 39,
            "global_step": 1_000_000,
            "pytorch-lightning_version": "1.2.9",
            "state_dict": weights,
            "callbacks": {ModelCheckpoint: {"best_model_score": np.float64(0.5), "dirpath": "x"}},
            "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": []}],
            "hparams_name": "kwargs",
            "hyper_parameters": AttributeDict(config=config, lr=1e-3),
        }
        torch.save(content, path, **options)
