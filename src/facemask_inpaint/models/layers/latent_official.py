"""Published files of latent diffusion: the authors' checkpoints, and those for ``diffusers``."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from facemask_inpaint.errors import CheckpointError
from facemask_inpaint.models.layers import vector_autoencoder
from facemask_inpaint.models.layers.diffusion_unet import UNetShape

_AVERAGED, _TRAINED = "model_ema.diffusion_model", "model.diffusion_model."
_AUTOENCODER, _LOSS = "first_stage_model.", "first_stage_model.loss."
_CONVERTED = ("unet/", "vqvae/")

_MOST_BLOCKS = 32
"""No U-Net of this family has more blocks on either side."""

_LAYERS = (
    *("in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3"),
    *("skip_connection", "op", "conv", "norm", "qkv", "proj_out"),
)
_ENDS = ("time_embed.0", "time_embed.2", "input_blocks.0.0", "out.0", "out.2")

_FORMER_NAMES = (
    (re.compile(r"(attentions\.\d\.)query\."), r"\1to_q."),
    (re.compile(r"(attentions\.\d\.)key\."), r"\1to_k."),
    (re.compile(r"(attentions\.\d\.)value\."), r"\1to_v."),
    (re.compile(r"(attentions\.\d\.)proj_attn\."), r"\1to_out.0."),
)
"""Names that ``diffusers`` gave these layers when the first files were converted for it."""


@dataclass(frozen=True)
class LatentTensors:
    """The two networks in a published file, without prefixes.

    Attributes:
        unet: tensors of the U-Net.
        autoencoder: tensors of the first stage.
        converted: whether the keys are those of ``diffusers``, and not the authors'.
    """

    unet: dict[str, Tensor]
    autoencoder: dict[str, Tensor]
    converted: bool

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> LatentTensors:
        """Choose what counts from a file's tensors.

        An authors' file holds the U-Net twice, averaged over the training and as the last step
        left it; the averaged one counts. Losses, schedules, and further copies of the first stage
        are left out. Converted networks come as two files, ``unet`` and ``vqvae``.

        Warns:
            UserWarning: the averaged U-Net is missing, so the other one is taken.

        Raises:
            CheckpointError: some part is not there.
        """
        if any(key.startswith(_CONVERTED) for key in tensors):
            unet, autoencoder = (current_names(_without(tensors, prefix)) for prefix in _CONVERTED)
            return cls(unet, autoencoder, True)
        autoencoder = _without(tensors, _AUTOENCODER, but=_LOSS)
        parts = cls(_averaged(tensors) or _last(tensors), autoencoder, False)
        if not parts.unet or not parts.autoencoder:
            absent = "U-Net" if parts.autoencoder else "first stage"
            raise CheckpointError(f"this is no checkpoint of latent diffusion: it has no {absent}")
        return parts

    def entry(self) -> Tensor:
        """Return the weight ``(width, channels, 3, 3)`` of the U-Net's first convolution.

        Raises:
            CheckpointError: there is none.
        """
        return self._take(self.unet, "conv_in" if self.converted else "input_blocks.0.0")

    def autoencoder_width(self) -> int:
        """Return the channels of the first stage at full size."""
        return self._take(self.autoencoder, "encoder.conv_in").shape[0]

    def codes(self) -> int:
        """Return the size of the codebook."""
        return self._take(self.autoencoder, "quantize.embedding").shape[0]

    def translate(self, shape: UNetShape, network: str) -> dict[str, Tensor]:
        """Return the state dict of a network with parts ``unet`` and ``autoencoder``.

        Args:
            shape: the U-Net's.
            network: name for error messages.

        Raises:
            CheckpointError: some tensors are missing or have no place.
        """
        if self.converted:
            unet = {f"net.{key}": tensor for key, tensor in self.unet.items()}
            autoencoder = {f"net.{key}": tensor for key, tensor in self.autoencoder.items()}
            words = autoencoder.pop("net.quantize.embedding.weight")
            autoencoder["codebook.vectors.weight"] = words
        else:
            unet = shape.translate(self.unet, network)
            autoencoder = vector_autoencoder.translate(self.autoencoder, network)
        return {
            **{f"unet.{key}": tensor for key, tensor in unet.items()},
            **{f"autoencoder.{key}": tensor for key, tensor in autoencoder.items()},
        }

    def _take(self, part: Mapping[str, Tensor], layer: str) -> Tensor:
        if (key := f"{layer}.weight") not in part:
            raise CheckpointError(f"this is no checkpoint of latent diffusion: {key!r} is missing")
        return part[key]


def _without(tensors: Mapping[str, Tensor], prefix: str, but: str = "\n") -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix) and not key.startswith(but)
    }


def _last(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    unet = _without(tensors, _TRAINED)
    if unet:
        warnings.warn(
            "this checkpoint lacks the U-Net averaged over its training (model_ema.*), with which "
            "the authors sample; taking the one that the last training step left",
            UserWarning,
            stacklevel=2,
        )
    return unet


def _averaged(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The averaged U-Net, whose names have lost their dots, under the U-Net's own keys.

    Raises:
        CheckpointError: some tensor is of no U-Net of this family.
    """
    averaged = _without(tensors, _AVERAGED)
    named = {key.replace(".", ""): key for key in _unet_keys()}
    if strange := sorted(averaged.keys() - named.keys()):
        raise CheckpointError(f"{_AVERAGED + strange[0]!r} has no place in latent diffusion")
    return {named[name]: tensor for name, tensor in averaged.items()}


def _unet_keys() -> Iterator[str]:
    """Every key that a U-Net of this family can have, and some that none has."""
    blocks = itertools.product(("input_blocks", "output_blocks"), range(_MOST_BLOCKS), range(3))
    places = [f"{side}.{number}.{child}" for side, number, child in blocks]
    places += [f"middle_block.{child}" for child in range(3)]
    layers = (f"{place}.{layer}" for place in places for layer in _LAYERS)
    for layer in itertools.chain(_ENDS, layers):
        yield f"{layer}.weight"
        yield f"{layer}.bias"


def current_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under today's names of ``diffusers``."""
    renamed = {}
    for key, tensor in tensors.items():
        for pattern, replacement in _FORMER_NAMES:
            key = pattern.sub(replacement, key)
        renamed[key] = tensor
    return renamed
