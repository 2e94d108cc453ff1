"""LatentPaint: inpainting with an unconditional latent diffusion model, by fusion of its features.

Corneanu, Gadde and Martinez, "LatentPaint: Image Inpainting in Latent Space with Diffusion Models",
WACV 2024. Neither code nor weights were published. This is the method as far as it is described
in public: forward-backward fusion of the latents and of the U-Net's features (its equation 11),
and a propagation module (its equation 12), in a residual form that is this library's own choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from facemask_inpaint.errors import CheckpointError, OptionError, unknown_name
from facemask_inpaint.models.layers.float32 import upcast
from facemask_inpaint.models.layers.latent_diffusion import (
    LatentDiffusionNetwork,
    covered,
    latent_shape,
)

FeatureMask = Literal["soft", "hard"]

BLOCKS = ("down0", "down1", "down2", "down3", "middle", "up0", "up1", "up2", "up3")
"""Blocks of the U-Net, in order of work."""

_KNOWN = 1 - 1e-6
"""Share of known pixels from which on a cell counts as known."""


class LatentPaint(LatentDiffusionNetwork):
    """LatentPaint on a latent diffusion model of whole faces; pluralistic.

    At every step the known latents are put back at the right noise level, and the U-Net gets
    two maps: the state, and the known part alone under the same noise. After each block the
    features of the first are replaced by those of the second where they belong to known pixels,
    so that what is still wrong in the hole cannot disturb them. Every step costs as much as two
    calls.

    With ``propagation`` each block also sums up what it knows in one vector, and spreads it over
    the map. Nobody has published weights for that: it starts without effect, and
    :meth:`denoising_loss` trains it. All other parameters are frozen.

    Random draws, all standard normal, of the latent map's shape: ``start``, out of which a run
    denoises; ``known``, for the known part, one for all steps unless ``renoise``; ``posterior``,
    one for each step, if ``eta`` is above 0.

    Args:
        width: of the U-Net; it and the arguments up to ``eta`` are those of
            :class:`~facemask_inpaint.models.layers.latent_diffusion.LatentDiffusionNetwork`.
        fused: blocks whose features are fused, of :data:`BLOCKS`; ``None`` means all. Without any,
            the U-Net gets the state alone, the rule of Blended Latent Diffusion (Avrahami et
            al., 2023, arXiv 2206.02779).
        feature_mask: how far a cell of a feature map is known: ``"soft"``, by the share of its
            pixels; ``"hard"``, only if all are. Latents are put back by the second rule.
        renoise: draw the known part's noise anew for every step.
        propagation: whether fused blocks have a propagation module.
        masked_max: the propagation module reads wholly known cells only; otherwise all others
            count as 0 or, partly known ones, in part.

    Of these ``steps``, ``eta`` and ``feature_mask`` may be changed later, as attributes.

    Raises:
        OptionError: an argument is outside its range.
        MissingDependencyError: ``diffusers`` is not installed.

    Example:
        >>> import torch
        >>> from facemask_inpaint import models
        >>> network = models.create(
        ...     "latentpaint", width=32, autoencoder_width=32, codes=64, steps=2
        ... )
        >>> network(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).shape
        torch.Size([1, 3, 64, 64])
    """

    native_resolution = 256
    preferred_strategy = "resize"
    ends_clean = True

    def __init__(
        self,
        *,
        width: int = 224,
        autoencoder_width: int = 128,
        codes: int = 8192,
        steps: int = 50,
        eta: float = 0.0,
        fused: Sequence[str] | None = None,
        feature_mask: FeatureMask = "soft",
        renoise: bool = False,
        propagation: bool = False,
        masked_max: bool = False,
    ) -> None:
        super().__init__(
            conditioned=False,
            width=width,
            autoencoder_width=autoencoder_width,
            codes=codes,
            steps=steps,
            eta=eta,
        )
        self.fused = BLOCKS if fused is None else tuple(fused)
        if strange := [name for name in self.fused if name not in BLOCKS]:
            raise unknown_name("block", strange[0], BLOCKS)
        if feature_mask not in get_args(FeatureMask):
            raise unknown_name("feature_mask", feature_mask, get_args(FeatureMask))
        self.feature_mask, self.renoise = feature_mask, renoise
        self.stepwise = frozenset({"known", "posterior"} if renoise else {"posterior"})
        self.requires_grad_(False)
        widths = {name: _channels(block) for name, block in self.blocks().items()}
        self.propagation = nn.ModuleDict(
            {name: Propagation(widths[name], masked_max) for name in self.fused if propagation}
        )

    @override
    @torch.no_grad()
    def fill(self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        *_, latent = self.states(self.encode_known(masked_image, hole), hole, latents)
        return self.decode(latent)

    def states(
        self, known: Tensor, hole: Tensor, latents: Mapping[str, Tensor]
    ) -> Iterator[Tensor]:
        """Yield the state ``(N, 3, h, w)`` after each step; in the last, known latents are exact.

        Args:
            known: ``(N, 3, h, w)``, latent map of the known part.
            hole: ``(N, 1, H, W)``, 1 = fill.
            latents: draws by the names of :meth:`latent_spec`.
        """
        schedule = self.schedule()
        x = upcast(latents["start"])
        known, is_known = known.to(x), covered(hole).to(x.device) == 0
        for index, timestep in self.with_progress(list(enumerate(schedule.timesteps))):
            noised = schedule.add_noise(known, self._noise(latents, index).to(x), timestep)
            x = torch.where(is_known, noised, x)
            epsilon = self.fused_epsilon(x, noised, timestep, hole)
            x = schedule.step(x, epsilon, timestep, self.posterior(latents, index, x))
            if index == len(schedule.timesteps) - 1:
                x = torch.where(is_known, known, x)
            yield x

    def fused_epsilon(
        self, x: Tensor, known: Tensor, timestep: int | Tensor, hole: Tensor
    ) -> Tensor:
        """Return the noise that the U-Net sees in ``x``, its features fused with known ones.

        Args:
            x: ``(N, 3, h, w)``, the state.
            known: ``(N, 3, h, w)``, the known part at the same noise level, whose features
                replace those of ``x`` where they belong to known pixels.
            timestep: 0 … 999: one for all, or ``(N,)``.
            hole: ``(N, 1, H, W)``, 1 = fill.
        """
        if not self.fused:
            return self.epsilon(x, timestep)
        timesteps = torch.as_tensor(timestep, device=x.device).expand(len(x)).repeat(2)
        with self._fusing(1 - hole):
            return self.epsilon(torch.cat([known, x]), timesteps).chunk(2)[1]

    def denoising_loss(
        self, image: Tensor, hole: Tensor, timestep: Tensor, noise: Tensor
    ) -> Tensor:
        """Return what training the propagation module minimises: the squared error of the noise.

        Args:
            image: whole images ``(N, 3, H, W)`` in [-1, 1].
            hole: ``(N, 1, H, W)``, 1 = fill.
            timestep: ``(N,)`` int64, 0 … 999.
            noise: ``(N, 3, H / 4, W / 4)``, standard normal.

        Returns:
            A scalar.

        Raises:
            OptionError: the network was built without a propagation module.
        """
        if not self.propagation:
            raise OptionError("nothing to train: build the network with propagation=True")
        with torch.no_grad():
            whole, known = self.encode(image), self.encode_known(image * (1 - hole), hole)
            alphas = self.schedule().alphas_cumprod.to(noise)[timestep].view(-1, 1, 1, 1)
            x, known = (alphas.sqrt() * z + (1 - alphas).sqrt() * noise for z in (whole, known))
            x = torch.where(covered(hole) > 0, x, known)
        return F.mse_loss(self.fused_epsilon(x, known, timestep, hole), noise)

    def blocks(self) -> dict[str, nn.Module]:
        """Return the U-Net's blocks by the names of :data:`BLOCKS`."""
        net = self.unet.net
        return dict(zip(BLOCKS, [*net.down_blocks, net.mid_block, *net.up_blocks]))

    @override
    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        spec = super().latent_spec(n, h, w)
        grid = latent_shape(h, w)
        spec["known"] = (n, self.steps, *grid) if self.renoise else (n, *grid)
        return spec

    @override
    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        options = super().official_options(tensors)
        if options.pop("conditioned"):
            raise CheckpointError(
                "LatentPaint builds on a model of whole images; this one was trained to inpaint, "
                "and is the network 'ldm'"
            )
        return options

    def _noise(self, latents: Mapping[str, Tensor], index: int) -> Tensor:
        return latents["known"][:, index] if self.renoise else latents["known"]

    @contextmanager
    def _fusing(self, known: Tensor) -> Iterator[None]:
        """While open, the U-Net's batch is two: the known part, and the state that it mends."""
        masks = KnownPyramid(known, self.feature_mask)
        blocks, propagation = self.blocks(), dict(self.propagation.items())
        handles = [
            blocks[name].register_forward_hook(_fusion(masks, propagation.get(name)))
            for name in self.fused
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


class Propagation(nn.Module):
    """Carries what is known anywhere to everywhere: pooled, transformed, added.

    Args:
        channels: channels of the features.
        masked_max: pool over wholly known cells only, and not over products with the mask.

    Attributes:
        strength: factor on what is added; starts at 0, where features stay as they are.
    """

    def __init__(self, channels: int, masked_max: bool = False) -> None:
        super().__init__()
        self.masked_max = masked_max
        self.transform = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.ReLU(), nn.Linear(4 * channels, 2 * channels)
        )
        self.strength = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor, known: Tensor) -> Tensor:
        """Move the features of hidden and of known cells by one vector each.

        Args:
            features: ``(N, C, h, w)``.
            known: ``(N, 1, h, w)`` in [0, 1], how far each cell is known.
        """
        of_hidden, of_known = self.transform(self._summary(features, known)).chunk(2, 1)
        spread = torch.lerp(of_hidden[..., None, None], of_known[..., None, None], known)
        return features + self.strength * spread

    def _summary(self, features: Tensor, known: Tensor) -> Tensor:
        """Largest known value of every channel, ``(N, C)``; 0 where nothing is known."""
        if not self.masked_max:
            return (features * known).amax((2, 3))
        largest = features.masked_fill(known < _KNOWN, -torch.inf).amax((2, 3))
        return largest.masked_fill(largest == -torch.inf, 0)


class KnownPyramid:
    """How far the cells of feature maps of any size are known.

    Args:
        known: ``(N, 1, H, W)`` of pixels, 1 = known.
        rule: ``"soft"`` is the share of a cell's pixels that are known, ``"hard"`` 1 where all are.
    """

    def __init__(self, known: Tensor, rule: FeatureMask) -> None:
        self._known, self._rule = upcast(known), rule
        self._levels: dict[tuple[int, int], Tensor] = {}

    def like(self, features: Tensor) -> Tensor:
        """Return the mask ``(N, 1, h, w)`` of the size, type and device of ``features``."""
        size = (features.shape[2], features.shape[3])
        if size not in self._levels:
            share = F.adaptive_avg_pool2d(self._known, size)
            share = (share >= _KNOWN).to(share) if self._rule == "hard" else share
            self._levels[size] = share.to(features)
        return self._levels[size]


BlockOutput = Tensor | tuple[Tensor, tuple[Tensor, ...]]
"""Features of a block; on the way down, also those for the way up."""


def _fusion(
    masks: KnownPyramid, propagation: nn.Module | None
) -> Callable[[nn.Module, object, BlockOutput], BlockOutput]:
    """Forward hook of a block whose batch holds known parts first, then states."""

    def fuse(features: Tensor) -> Tensor:
        known, own = features.chunk(2)
        return torch.cat([known, torch.lerp(own, known, masks.like(features))])

    def propagate(features: Tensor) -> Tensor:
        if propagation is None:
            return features
        known, own = features.chunk(2)
        return torch.cat([known, propagation(own, masks.like(features))])

    def hook(block: nn.Module, inputs: object, output: BlockOutput) -> BlockOutput:
        if isinstance(output, Tensor):
            return propagate(fuse(output))
        # A block on the way down: its last map goes on, and all of them to the way up.
        maps = [fuse(features) for features in output[1]]
        maps[-1] = propagate(maps[-1])
        return maps[-1], tuple(maps)

    return hook


def _channels(block: nn.Module) -> int:
    """Channels of a block's output."""
    resnets = cast(nn.ModuleList, block.resnets)
    return cast(int, resnets[-1].out_channels)
