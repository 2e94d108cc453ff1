"""From the tensors of a published file to those that its authors' own network would save.

Copies of one network differ in what stands before its keys, in the order of a kernel's axes, and
in constants that somebody left out. None of that is a network's own affair, so it is settled here
for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from facemask_inpaint.checkpoints.keys import own_keys

if TYPE_CHECKING:
    from torch import Tensor

    from facemask_inpaint.models._network import InpaintingNetwork


WHOLE = "network"
"""Role of a file that holds all of a network."""


def anchors_of(network: type[InpaintingNetwork], role: str = WHOLE) -> tuple[str, ...]:
    """Return the keys by which a network is found in a file.

    Args:
        network: its class.
        role: which of its files, as its card names them.
    """
    if role == WHOLE:
        return tuple(anchor for anchor in network.anchors if "/" not in anchor)
    heads = (anchor.partition("/") for anchor in network.anchors)
    return tuple(key for head, _, key in heads if key and head == role)


def roles_of(network: type[InpaintingNetwork]) -> list[str]:
    """Return the names of the parts of a network that is published in several files."""
    return [anchor.partition("/")[0] for anchor in network.anchors if "/" in anchor]


def unwrapped(
    network: type[InpaintingNetwork], tensors: Mapping[str, Tensor]
) -> Mapping[str, Tensor]:
    """Return the tensors under the network's own keys, without those that are not the network's.

    Args:
        network: its class.
        tensors: those of one file, or of several, whose keys then start with ``role/``.

    Raises:
        CheckpointError: the network is not among them, or several times.
    """
    parts = [role for role in roles_of(network) if _part(tensors, role)]
    if parts:
        unwrapped_parts = {
            role: _unwrapped_part(network, _part(tensors, role), role) for role in parts
        }
        return {
            f"{role}/{key}": t for role, part in unwrapped_parts.items() for key, t in part.items()
        }
    return _unwrapped_part(network, tensors, WHOLE)


def part_name(network: type[InpaintingNetwork], role: str) -> str:
    """Return what messages call a network, or the part of it in one of its files."""
    return network.__name__ + ("" if role == WHOLE else f"'s {role}")


def channels_first(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors with convolution kernels in torch's order, ``(out, in, height, width)``.

    Files made for MLX hold ``(out, height, width, in)``, under the same keys. Which of the two a
    file holds shows in its square kernels, whose sides are two equal numbers; the majority
    decides, since a converter may leave constant filters as they are.
    """
    kernels = {
        key: tuple(t.shape)
        for key, t in tensors.items()
        if t.ndim == 4 and key.rpartition(".")[2] == "weight"
    }
    first = sum(b != c == d for _, b, c, d in kernels.values())
    last = sum(b == c != d for _, b, c, d in kernels.values())
    if last <= first:
        return dict(tensors)
    turned = {key for key, (_, b, c, _) in kernels.items() if b == c}
    return {key: t.permute(0, 3, 1, 2) if key in turned else t for key, t in tensors.items()}


def with_optional(network: InpaintingNetwork, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict with zeros for what ``network.optional`` lets a file leave out."""
    present = {key.rpartition(".")[2] for key in state}
    absent = set(network.optional) - present
    zeros = {
        key: own.new_zeros(own.shape)
        for key, own in network.state_dict().items()
        if key.rpartition(".")[2] in absent
    }
    return {**state, **zeros}


def _part(tensors: Mapping[str, Tensor], role: str) -> dict[str, Tensor]:
    start = f"{role}/"
    return {key.removeprefix(start): t for key, t in tensors.items() if key.startswith(start)}


def _unwrapped_part(
    network: type[InpaintingNetwork], tensors: Mapping[str, Tensor], role: str
) -> Mapping[str, Tensor]:
    anchors = anchors_of(network, role)
    if not anchors:
        return tensors
    names = own_keys(tensors, anchors, part_name(network, role))
    return {own: tensors[key] for own, key in names.items()}
