"""Reading an official checkpoint's tensors under their own keys."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from facemask_inpaint.errors import CheckpointError

_MAX_ELEMENTS = 2**30
"""No weight of a network has so many."""


def dense(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the same numbers as a network computes with them: neither sparse nor quantised.

    Raises:
        CheckpointError: a tensor holds no numbers, or none that a network could take.
    """
    return {key: _dense(key, tensor) for key, tensor in tensors.items()}


def _dense(key: str, tensor: Tensor) -> Tensor:
    if tensor.device.type == "meta":
        raise CheckpointError(
            f"{key} has a size but no numbers: it was saved from the meta device; save the "
            "network again after its weights are loaded"
        )
    if tensor.is_nested:
        raise CheckpointError(f"{key} is a nested tensor, which is no weight of a network")
    if tensor.is_quantized:
        return tensor.dequantize()
    if tensor.layout is not torch.strided:
        if tensor.numel() > _MAX_ELEMENTS:
            raise CheckpointError(f"{key} is sparse and, at {tuple(tensor.shape)}, no weight")
        return tensor.to_dense()
    return tensor


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors under keys with a prefix in front."""
    return {prefix + key: tensor for key, tensor in tensors.items()}


class OfficialTensors:
    """Tensors of an official checkpoint, handed out once each.

    A translation takes every key it knows, then calls :meth:`finish`: so a key that is missing
    and one that nobody asked for are both refused by name.

    Args:
        tensors: official key to tensor.
        network: name for error messages.
    """

    def __init__(self, tensors: Mapping[str, Tensor], network: str) -> None:
        self._left = dict(tensors)
        self._network = network

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def take(self, key: str) -> Tensor:
        """Take the tensor under ``key``.

        Raises:
            CheckpointError: there is no such key (any more).
        """
        if key not in self._left:
            raise CheckpointError(f"this is no checkpoint of {self._network}: {key!r} is missing")
        return self._left.pop(key)

    def take_all(self, prefix: str) -> dict[str, Tensor]:
        """Take every tensor whose key starts with ``prefix``, under the rest of its key."""
        keys = [key for key in self._left if key.startswith(prefix)]
        return {key.removeprefix(prefix): self._left.pop(key) for key in keys}

    def move(self, theirs: str, ours: str) -> dict[str, Tensor]:
        """Take a module's tensors, renamed from ``theirs.key`` to ``ours.key``."""
        return {f"{ours}.{key}": tensor for key, tensor in self.take_all(f"{theirs}.").items()}

    def move_all(self, modules: Mapping[str, str]) -> dict[str, Tensor]:
        """Take the tensors of several modules, given as official to own names."""
        state: dict[str, Tensor] = {}
        for theirs, ours in modules.items():
            state |= self.move(theirs, ours)
        return state

    def finish(self) -> None:
        """Refuse what is left over.

        Raises:
            CheckpointError: some tensors have no place in the network.
        """
        if self._left:
            shown = ", ".join(list(self._left)[:4]) + (" …" if len(self._left) > 4 else "")
            raise CheckpointError(
                f"{len(self._left)} tensors have no place in {self._network}: {shown}"
            )
