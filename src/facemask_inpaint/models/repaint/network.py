"""The network: what it is made of, what it draws, and how a run is watched."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import torch
from torch import Tensor
from typing_extensions import override

from facemask_inpaint.errors import FacemaskInpaintError, OptionError
from facemask_inpaint.models._conditions import (
    BatchConditions,
    Condition,
    ConditionSpec,
    steps_condition,
)
from facemask_inpaint.models._denoising import DenoisingStep
from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.layers.checks import require_multiple
from facemask_inpaint.models.layers.diffusion import (
    TRAINED_STEPS,
    add_noise,
    alphas_cumprod,
    linear_betas,
)
from facemask_inpaint.models.layers.diffusion_unet import BLOCKS, GROUPS, UNetShape
from facemask_inpaint.models.layers.float32 import upcast
from facemask_inpaint.models.layers.harmonic_fill import harmonic_fill
from facemask_inpaint.models.layers.official import OfficialTensors
from facemask_inpaint.models.repaint.sampler import Sampler
from facemask_inpaint.models.repaint.schedule import PRESETS, Sampling, SamplingLike, as_sampling

_CHANNELS = 3
_HEAD_WIDTH = 64


class RePaint(InpaintingNetwork):
    """Denoising diffusion model of whole images as an inpainting network; pluralistic.

    Known pixels are put back, at the right noise level, before every call of the U-Net; it never
    sees the mask. In the output they are the U-Net's, close to the image's.

    Random draws, all standard normal and of the image's shape: ``start``; and one per step,
    ``posterior``, ``known`` and ``renoise``, see :meth:`Sampler.counts`. The latter are drawn when
    their step comes.

    Predictions are for inference: no gradient passes through a run. The state between steps is
    float32 at every precision of the U-Net.

    Args:
        width: channels of the U-Net at full size, a multiple of 32.
        multipliers: width of each level, in units of the first; each has half the side of the one
            before.
        attention_from: levels with this number (from 0) and later ones have attention.
        sampling: name of a preset (``"official"``, ``"balanced"``, ``"fast"``), or attributes of
            a :class:`Sampling`.

    Raises:
        OptionError: an argument is outside its range.
        MissingDependencyError: ``diffusers`` is not installed.

    Example:
        >>> import torch
        >>> from facemask_inpaint import models
        >>> network = models.create("repaint", width=32, multipliers=[1, 1], sampling="fast")
        >>> network(torch.zeros(1, 3, 32, 32), torch.ones(1, 1, 32, 32)).shape
        torch.Size([1, 3, 32, 32])
    """

    anchors = ("input_blocks.0.0.weight",)
    native_resolution = 256
    preferred_strategy = "resize"
    stepwise = frozenset({"posterior", "known", "renoise"})

    def __init__(
        self,
        *,
        width: int = 256,
        multipliers: Sequence[int] = (1, 1, 2, 2, 4, 4),
        attention_from: int = 3,
        sampling: SamplingLike = "official",
    ) -> None:
        super().__init__()
        self._sampling = as_sampling(sampling)
        self.size_multiple = self.smallest_size = 2 ** (len(multipliers) - 1)
        self.unet = unet_shape(width, multipliers, attention_from).build()

    @property
    def sampling(self) -> Sampling:
        """How a run goes. May be set to the name of a preset, too; a saved network keeps it."""
        return self._sampling

    @sampling.setter
    def sampling(self, sampling: SamplingLike) -> None:
        self._sampling = as_sampling(sampling)
        self.options = {**self.options, "sampling": asdict(self._sampling)}

    @property
    def evaluations(self) -> int:
        """Calls of the U-Net per image."""
        return self.sampling.evaluations

    @override
    def condition_spec(self) -> ConditionSpec:
        presets = Condition(value_type=str, meaning="name of a preset", choices=tuple(PRESETS))
        steps = steps_condition(self.sampling.steps, TRAINED_STEPS, minimum=2)
        return {"sampling": presets, "steps": steps}

    @override
    def denoising_step(self, h: int, w: int) -> DenoisingStep:
        """Return the U-Net; see :meth:`InpaintingNetwork.denoising_step`."""
        inputs = {"sample": (_CHANNELS, h, w), "timestep": ()}
        return DenoisingStep(self.unet, inputs, alphas_cumprod(linear_betas()).tolist())

    @override
    def under(self, conditions: BatchConditions) -> RePaint:
        preset, steps = conditions["sampling"], conditions["steps"]
        sampling = self.sampling if preset is None else PRESETS[preset]
        if steps != self.sampling.steps:
            sampling = sampling.with_steps(steps)
        if sampling == self.sampling:
            return self
        other = copy.copy(self)
        other._sampling = sampling
        return other

    @override
    @torch.no_grad()
    def fill(self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        """Return the state after the last step; see :meth:`InpaintingNetwork.fill`.

        Raises:
            FacemaskInpaintError: it is not finite.
        """
        *_, prediction = self.states(masked_image, hole, latents)
        if not bool(torch.isfinite(prediction).all()):
            raise FacemaskInpaintError(
                f"the network's outputs overflowed in {masked_image.dtype}; use float32, or "
                "bfloat16, whose range is as wide. If this is float32, its weights are damaged"
            )
        return prediction.to(masked_image.dtype)

    def states(
        self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]
    ) -> Iterator[Tensor]:
        """Yield the state ``(N, 3, H, W)`` after each of a run's moves.

        Args:
            masked_image: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            hole: ``(N, 1, H, W)``, 1 = fill.
            latents: draws by the names of :meth:`latent_spec`.
        """
        clean, sampling = upcast(masked_image), self.sampling
        sampler = Sampler(
            lambda x, timestep: self.unet(x.to(masked_image.dtype), timestep),
            sampling,
            clean,
            hole,
            {name: latents[name] for name in Sampler.counts(sampling)},
        )
        x = upcast(latents["start"])
        if sampling.first_guess is not None:
            alpha = sampling.levels.alpha_cumprod(sampling.first_guess)
            x = add_noise(harmonic_fill(clean, hole), x, alpha)
        yield from sampler.states(x, self.with_progress(sampling.moves))
        if bool(sampler.bounded):
            warnings.warn(
                "the learned variance of some steps was out of all bounds and was held back; with "
                f"these weights use more than {sampling.steps} steps",
                RuntimeWarning,
                stacklevel=2,
            )

    @override
    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        image = (_CHANNELS, h, w)
        counts = Sampler.counts(self.sampling)
        return {"start": (n, *image)} | {name: (n, count, *image) for name, count in counts.items()}

    @override
    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        width, multipliers, attention_from = _official_shape(tensors, cls.__name__)
        return {"width": width, "multipliers": multipliers, "attention_from": attention_from}

    @override
    @classmethod
    def translate_official(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        shape = unet_shape(*_official_shape(tensors, cls.__name__))
        state = shape.translate(tensors, cls.__name__)
        return {f"unet.{key}": tensor for key, tensor in state.items()}


def _official_shape(tensors: Mapping[str, Tensor], network: str) -> tuple[int, list[int], int]:
    """Arguments of :func:`unet_shape` read off the shapes of official tensors."""
    official = OfficialTensors(tensors, network)
    width = official.take("input_blocks.0.0.weight").shape[0]
    widths: list[int] = []
    attends: list[bool] = []
    while (bias := f"{_first_block(len(widths))}.0.out_layers.3.bias") in official:
        attends.append(f"{_first_block(len(widths))}.1.norm.weight" in official)
        widths.append(official.take(bias).shape[0])
    attention_from = attends.index(True) if True in attends else len(attends)
    return width, [channels // width for channels in widths], attention_from


def unet_shape(width: int, multipliers: Sequence[int], attention_from: int) -> UNetShape:
    """Return the U-Net of guided-diffusion with a learned variance, from RePaint's arguments.

    Attention has 64 channels per head, or half the width where that is less.

    Raises:
        OptionError: an argument is outside its range.
    """
    require_multiple("width", width, GROUPS)
    if not multipliers or min(multipliers) < 1:
        raise OptionError(f"multipliers must be whole numbers from 1, not {list(multipliers)}")
    widths = tuple(width * multiplier for multiplier in multipliers)
    head_width = min(_HEAD_WIDTH, width // 2)
    # The middle attends even where no level does.
    for channels in {*widths[attention_from:], widths[-1]}:
        if channels % head_width:
            raise OptionError(
                f"levels with attention must have a multiple of {head_width} channels, "
                f"not {channels}"
            )
    return UNetShape(
        in_channels=_CHANNELS,
        out_channels=2 * _CHANNELS,
        widths=widths,
        attention_from=attention_from,
        head_width=head_width,
        scale_shift=True,
        residual_resampling=True,
    )


def _first_block(level: int) -> str:
    """Official name of a level's first block."""
    return f"input_blocks.{1 + (BLOCKS + 1) * level}"
