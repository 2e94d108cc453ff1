"""Architectures by name, and how to build one. Listing imports no network."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from facemask_inpaint.checkpoints.keys import describe_starts
from facemask_inpaint.errors import CheckpointError, OptionError, unknown_name
from facemask_inpaint.models._unwrapping import channels_first, unwrapped, with_optional

if TYPE_CHECKING:
    from torch import Tensor

    from facemask_inpaint.models._network import InpaintingNetwork

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

MISFITS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What the translation of tensors of surprising shapes may end in."""


def list_architectures() -> list[str]:
    """Return the names that :func:`create` takes, sorted.

    Example:
        >>> "mat" in list_architectures()
        True
    """
    return sorted(ARCHITECTURES)


def network_class(architecture: str) -> type[InpaintingNetwork]:
    """Return the class behind an architecture name, imported now.

    Raises:
        UnknownNameError: there is no such architecture; the message names the near ones.
    """
    if architecture not in ARCHITECTURES:
        raise unknown_name("architecture", architecture, ARCHITECTURES)
    module, _, name = ARCHITECTURES[architecture].partition(":")
    output: type[InpaintingNetwork] = getattr(importlib.import_module(module), name)
    return output


def create(architecture: str, /, **options: object) -> InpaintingNetwork:
    """Build an untrained network in inference mode.

    Args:
        architecture: a name of :func:`list_architectures`.
        **options: the class's own keyword arguments, for example ``resolution=512``.

    Raises:
        UnknownNameError: no such architecture or option; the message names the near ones.
        OptionError: an option is of another type, or no network can be built with them.

    Example:
        >>> network = create("migan", resolution=64, channel_base=512, channel_max=16)
        >>> network.native_resolution, network.training
        (64, False)
    """
    from facemask_inpaint._internal.torch_state import ordinary_torch
    from facemask_inpaint.models._building import build

    with ordinary_torch():
        network = build(network_class(architecture), options, architecture)
    network.architecture, network.options = architecture, options
    return network.eval()


def from_official(
    architecture: str, tensors: Mapping[str, Tensor], **options: object
) -> InpaintingNetwork:
    """Build a network from tensors under the keys of its authors' own checkpoint.

    What wrappers put in front of the keys is taken off, and tensors that belong to other networks
    are left out; kernels in the order of channels-last frameworks are brought into torch's.

    Args:
        architecture: a name of :func:`list_architectures`.
        tensors: official key to tensor.
        **options: constructor arguments; what the tensors themselves tell may be left out.

    Raises:
        CheckpointError: keys or shapes do not fit; the message names the first few.
        OptionError: an option is not one of the network's, or outside its range.

    Example:
        >>> from facemask_inpaint import checkpoints
        >>> tensors = checkpoints.read("best.ckpt").tensors  # doctest: +SKIP
        >>> network = from_official("lama", tensors)  # doctest: +SKIP
    """
    from facemask_inpaint._internal.torch_state import ordinary_torch

    with ordinary_torch():
        return _from_official(network_class(architecture), architecture, tensors, options)


def _from_official(
    cls: type[InpaintingNetwork],
    architecture: str,
    tensors: Mapping[str, Tensor],
    options: Mapping[str, object],
) -> InpaintingNetwork:
    from facemask_inpaint.models.layers.official import dense

    tensors = channels_first(dense(unwrapped(cls, tensors)))
    try:
        read_off, state = cls.official_options(tensors), cls.translate_official(tensors)
    except CheckpointError:
        raise
    except (OptionError, *MISFITS) as error:
        raise CheckpointError(
            f"these tensors are not those of {cls.__name__}: their shapes do not fit ({error})"
        ) from error
    network = _fitting(architecture, read_off, options)
    load_exactly(network, with_optional(network, state))
    return network


def _fitting(
    architecture: str, read_off: Mapping[str, object], options: Mapping[str, object]
) -> InpaintingNetwork:
    """A network by the options read off tensors, and those that the caller gave."""
    try:
        return blank(architecture, **{**read_off, **options})
    except (OptionError, *MISFITS) as error:
        if options:
            raise
        raise CheckpointError(
            f"no {architecture} network has tensors of these shapes ({error})"
        ) from error


def blank(architecture: str, /, **options: object) -> InpaintingNetwork:
    """Build a network whose weights are about to be loaded; nothing is drawn for them."""
    from facemask_inpaint._internal.torch_state import without_draws

    with without_draws():
        return create(architecture, **options)


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
        strangers = "" if own.keys() & state.keys() else f"; {describe_starts(state)}"
        raise CheckpointError(
            f"these tensors are not those of {type(network).__name__} with options "
            f"{network.options}: {len(problems)} do not fit ({shown}){strangers}"
        )
    network.load_state_dict(state)
