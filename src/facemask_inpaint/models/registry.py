"""Architectures by name, and how to build one. Listing imports no network."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from facemask_inpaint.errors import CheckpointError, unknown_name

if TYPE_CHECKING:
    from torch import Tensor

    from facemask_inpaint.models.network import InpaintingNetwork

ARCHITECTURES: dict[str, str] = {
    "aotgan": "facemask_inpaint.models.aotgan:AOTGAN",
    "cmt": "facemask_inpaint.models.cmt:CMT",
    "comodgan": "facemask_inpaint.models.comodgan:CoModGAN",
    "deepfillv2": "facemask_inpaint.models.deepfillv2:DeepFillV2",
    "harmonic": "facemask_inpaint.models.harmonic:Harmonic",
    "lama": "facemask_inpaint.models.lama:LaMa",
    "latentcode": "facemask_inpaint.models.latentcode:LatentCode",
    "latentpaint": "facemask_inpaint.models.latentpaint:LatentPaint",
    "ldm": "facemask_inpaint.models.ldm:LDM",
    "lite": "facemask_inpaint.models.lite:Lite",
    "mat": "facemask_inpaint.models.mat:MAT",
    "madf": "facemask_inpaint.models.madf:MADF",
    "migan": "facemask_inpaint.models.migan:MIGAN",
    "moebius": "facemask_inpaint.models.moebius:Moebius",
    "pixelhacker": "facemask_inpaint.models.pixelhacker:PixelHacker",
    "repaint": "facemask_inpaint.models.repaint:RePaint",
    "tformer": "facemask_inpaint.models.tformer:TFormer",
}
"""Architecture name to ``module:class``; the module is imported when the class is asked for."""


def list_architectures() -> list[str]:
    """Names that :func:`create` takes, sorted."""
    return sorted(ARCHITECTURES)


def network_class(architecture: str) -> type[InpaintingNetwork]:
    """Class behind an architecture name, imported now.

    Raises:
        UnknownNameError: there is no such architecture; the message names the near ones.
    """
    if architecture not in ARCHITECTURES:
        raise unknown_name("architecture", architecture, ARCHITECTURES)
    module, _, name = ARCHITECTURES[architecture].partition(":")
    return getattr(importlib.import_module(module), name)


def create(architecture: str, **options: Any) -> InpaintingNetwork:
    """Build an untrained network in inference mode.

    Args:
        architecture: a name of :func:`list_architectures`.
        **options: the class's own keyword arguments, for example ``resolution=512``.
    """
    network = network_class(architecture)(**options)
    network.architecture, network.options = architecture, options
    return network.eval()


def from_official(
    architecture: str, tensors: Mapping[str, Tensor], **options: Any
) -> InpaintingNetwork:
    """Build a network from tensors under the keys of its authors' own checkpoint.

    Args:
        architecture: a name of :func:`list_architectures`.
        tensors: official key to tensor; a prefix such as ``module.`` must be gone.
        **options: constructor arguments; what the tensors themselves tell may be left out.

    Raises:
        CheckpointError: keys or shapes do not fit; the message names the first few.
    """
    from facemask_inpaint.models.layers.official import dense

    cls, tensors = network_class(architecture), dense(tensors)
    options = {**cls.official_options(tensors), **options}
    network = create(architecture, **options)
    load_exactly(network, cls.translate_official(tensors))
    return network


def load_exactly(network: InpaintingNetwork, state: Mapping[str, Tensor]) -> None:
    """Load a state dict whose keys and shapes must fit the network without exception."""
    from facemask_inpaint.models.layers.official import dense

    own, state = network.state_dict(), dense(state)
    problems = [f"missing {key}" for key in own if key not in state]
    problems += [f"unexpected {key}" for key in state if key not in own]
    problems += [
        f"{key} is {tuple(state[key].shape)}, needed {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    problems += [
        f"{key} is {state[key].dtype}, needed {own[key].dtype}"
        for key in own
        if key in state and state[key].is_complex() and not own[key].is_complex()
    ]
    if problems:
        shown = "; ".join(problems[:4]) + (" …" if len(problems) > 4 else "")
        raise CheckpointError(
            f"these tensors are not those of {type(network).__name__} with options "
            f"{network.options}: {len(problems)} do not fit ({shown})"
        )
    network.load_state_dict(state)
