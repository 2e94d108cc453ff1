"""Bare pickles of whole networks: StyleGAN2-ADA snapshots and TensorFlow-era StyleGAN files.

Both hold Python source text beside the tensors, which their own loaders execute. Here it is
data like any other: never compiled, never run.

Sources: ``torch_utils/persistence.py`` of StyleGAN2-ADA (format version 6) and
``dnnlib/tflib/network.py`` of StyleGAN2 (format versions 2 to 4), as file formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from facemask_inpaint.checkpoints._safe_pickle.inert import Budget, Record
from facemask_inpaint.checkpoints._safe_pickle.lazy_tensors import Lazy, Storage
from facemask_inpaint.checkpoints._safe_pickle.machine import Machine, Vocabulary
from facemask_inpaint.checkpoints._safe_pickle.trees import flatten_modules
from facemask_inpaint.checkpoints._safe_pickle.vocabularies import (
    NETWORK_PICKLE,
    PERSISTENT,
    TF_NETWORK,
)
from facemask_inpaint.checkpoints._torch_files import read_legacy
from facemask_inpaint.errors import CheckpointError

PERSISTENT_VERSION = 6
TF_VERSIONS = (2, 3, 4)
TF_SECTIONS = ("G", "D", "Gs")


def load_network_pickle(data: memoryview, budget: Budget) -> object:
    """Return the top object of the pickle, everything in it inert and every tensor unread.

    Raises:
        CheckpointError: the stream is damaged, cut off or refused.
    """
    inner = Vocabulary(rebuild={"torch.storage._load_from_bytes": _inner_storage})
    return Machine(data, budget, NETWORK_PICKLE | inner).load()


def persistent_networks(top: object) -> dict[str, Record]:
    """Return the networks of a StyleGAN2-ADA snapshot by section; none if it is not one."""
    if not isinstance(top, dict):
        return {}
    return {name: value for name, value in top.items() if _is(value, PERSISTENT)}


def tensorflow_networks(top: object) -> dict[str, Record]:
    """Return ``G``, ``D`` and the average ``Gs`` of a TensorFlow-era file; none if it is none."""
    if not isinstance(top, tuple) or len(top) != len(TF_SECTIONS):
        return {}
    if not all(_is(value, TF_NETWORK) for value in top):
        return {}
    return dict(zip(TF_SECTIONS, top))


def persistent_tensors(network: Record, file: str) -> tuple[dict[str, Lazy], dict[str, object]]:
    """Return unread tensors under state-dict keys, and the constructor's arguments.

    Only registered parameters, buffers and modules are followed: constructor arguments may hold
    whole modules with initial weights, which must not be mistaken for the trained ones.

    Raises:
        CheckpointError: the network is of another format version or damaged.
    """
    tensors = flatten_modules(network, _torch_members, file)
    state = _module_state(network, file)
    facts = {
        "class_name": network.args[0].get("class_name"),
        "init_args": state.get("_init_args", ()),
        "init_kwargs": state.get("_init_kwargs", {}),
    }
    return tensors, facts


def tensorflow_tensors(network: Record, file: str) -> tuple[dict[str, Lazy], dict[str, object]]:
    """Return unread variables, those of components as ``component/name``, and the static arguments.

    Raises:
        CheckpointError: the network is of another format version or damaged.
    """
    state = _tf_state(network, file)
    tensors = _tf_variables(state, "", file)
    components = state.get("components", {})
    if not isinstance(components, Mapping):
        raise CheckpointError(f"{file}: the network's components are not a dictionary")
    for component in components.values():
        inner = _tf_state(component, file)
        tensors |= _tf_variables(inner, f"{inner.get('name')}/", file)
    facts = {name: state.get(name) for name in ("name", "static_kwargs", "build_func_name")}
    return tensors, facts


def _inner_storage(machine: Machine, args: tuple[Any, ...]) -> Storage:
    (data,) = args
    if not isinstance(data, memoryview):
        raise CheckpointError(f"{machine.file}: a tensor's storage is not bytes")
    return cast(Storage, read_legacy(data, machine.budget, bare_storage=True))


def _is(value: Any, path: str) -> bool:
    return isinstance(value, Record) and value.cls.path == path


def _module_state(module: Any, file: str) -> dict[Any, Any]:
    """The attributes of a persistent module or of one of torch's own."""
    if not isinstance(module, Record):
        raise CheckpointError(f"{file}: a child of a module is no module")
    state = module.state
    if _is(module, PERSISTENT):
        meta = module.args[0]
        if meta.get("type") != "class" or meta.get("version") != PERSISTENT_VERSION:
            raise CheckpointError(
                f"{file}: a persistent object that is no class of format version "
                f"{PERSISTENT_VERSION}; the file is no StyleGAN2-ADA snapshot of a known kind"
            )
        state = meta.get("state")
    if not isinstance(state, dict):
        raise CheckpointError(f"{file}: a module without attributes")
    return state


def _torch_members(module: object, file: str) -> tuple[dict[str, Lazy], dict[str, object]]:
    state = _module_state(module, file)
    groups = [state.get(name, {}) for name in ("_parameters", "_buffers", "_modules")]
    if not all(isinstance(group, dict) for group in groups):
        raise CheckpointError(f"{file}: a module's members are not dictionaries")
    parameters, buffers, children = groups
    hidden = state.get("_non_persistent_buffers_set")
    hidden = hidden if isinstance(hidden, set | frozenset | list) else ()
    tensors = {
        name: value
        for name, value in {**parameters, **buffers}.items()
        if isinstance(value, Lazy)
        and value.holds_numbers
        and not (name in buffers and name in hidden)
    }
    return tensors, {name: child for name, child in children.items() if child is not None}


def _tf_state(network: Any, file: str) -> dict[Any, Any]:
    if not _is(network, TF_NETWORK) or not isinstance(network.state, dict):
        raise CheckpointError(f"{file}: a network without its state")
    if network.state.get("version") not in TF_VERSIONS:
        raise CheckpointError(f"{file}: a TensorFlow network of an unknown format version")
    return network.state


def _tf_variables(state: dict[Any, Any], prefix: str, file: str) -> dict[str, Lazy]:
    variables = state.get("variables")
    if not isinstance(variables, list):
        raise CheckpointError(f"{file}: a network without a list of variables")
    tensors: dict[str, Lazy] = {}
    for entry in variables:
        if not isinstance(entry, tuple) or len(entry) != 2 or not isinstance(entry[0], str):
            raise CheckpointError(f"{file}: a variable that is not a (name, values) pair")
        name, value = entry
        if not isinstance(value, Lazy) or not value.holds_numbers:
            raise CheckpointError(f"{file}: variable {name[:80]!r} holds no plain numbers")
        tensors[prefix + name] = value
    return tensors
