"""The compact network whose weights ship with the library.

This library's own design, for small aligned faces. A normal distribution over faces gives a
probable face around what is known, and a pyramid spreads into the hole by how much the known pixels
differ from it: that settles place, tone and light at next to no cost. A U-Net decides about
components at half the picture's side, where all of a face is in reach, and attends globally where
its map is smallest: one eye knows of the other. A few convolutions then add detail, up to the full
side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks import MASK_CLASSES
from facemask_inpaint.models._conditions import Condition, ConditionSpec
from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.layers.colour_range import in_known_colours, muted
from facemask_inpaint.models.layers.face_prior import FacePrior
from facemask_inpaint.models.layers.lite_blocks import (
    BLOCK,
    HEAD_WIDTH,
    GlobalBlock,
    Residual,
    Widen,
    enlarged,
    from_blocks,
    halved,
    initialise,
    to_blocks,
)
from facemask_inpaint.models.layers.pyramid_fill import pyramid_fill

PRIOR_SIDE = 64
"""Side of the pictures that the normal distribution is over."""

LARGER = "larger_"
"""Begins the names of latents that only pictures of twice the side have."""

TEMPERATURE = 0.6
"""Factor on the draws of the first guess: at 1 many heads are of a strange colour."""


class Lite(InpaintingNetwork):
    """A U-Net at half the side, then detail at the full side.

    Draws which of all probable faces it begins with, and the grain of hair and skin. Takes faces of
    one size, aligned as in CelebA-HQ, where it learnt which component belongs where, or of twice
    that size; the ``Inpainter`` resizes other pictures.

    Args:
        side: of the pictures in pixels, a multiple of 32.
        widths: channels of the U-Net at 1/4, 1/8 and 1/16 of its side; the last a multiple of 64.
        depth: attention blocks of the U-Net.
        directions: of the normal distribution over faces, see :class:`FacePrior`.
        detail: channels of the detail stage; 0 leaves it out, and the U-Net has the full side.
        temperature: factor on the draws of the first guess; 0 begins with the most probable face.
        class_conditional: whether the network can be told which mask class a hole is of.

    Raises:
        OptionError: an argument is out of its range.
    """

    anchors = ("prior.mean",)
    any_size = False

    def __init__(
        self,
        *,
        side: int = 256,
        widths: tuple[int, int, int] = (64, 128, 256),
        depth: int = 3,
        directions: int = 64,
        detail: int = 48,
        temperature: float = TEMPERATURE,
        class_conditional: bool = False,
    ) -> None:
        super().__init__()
        if side < 8 * BLOCK or side % (8 * BLOCK):
            raise OptionError(f"side must be a multiple of {8 * BLOCK}, not {side}")
        if min(depth, directions, detail) < 0 or min(widths) < 1:
            raise OptionError(
                "depth, directions and detail are not negative and widths are positive, not "
                f"{depth}, {directions}, {detail} and {widths}"
            )
        if len(widths) != 3 or widths[2] % HEAD_WIDTH:
            raise OptionError(
                f"widths are three numbers, the last a multiple of {HEAD_WIDTH}, not {widths}"
            )
        self.native_size = self.side = side
        self.larger_size = 2 * side if detail else None
        self.class_conditional = class_conditional
        if class_conditional:
            self.component = nn.Embedding(1 + len(MASK_CLASSES), widths[2])
        self.prior = FacePrior(PRIOR_SIDE, directions)
        self.directions, self.temperature = directions, temperature
        self.coarse = CoarseStage(side // 2 if detail else side, widths, depth)
        self.detail = DetailStage(widths[0], detail) if detail else None

    def condition_spec(self) -> ConditionSpec:
        if not self.class_conditional:
            return {}
        meaning = "mask class of the hole"
        names = tuple(str(known) for known in MASK_CLASSES)
        return {"mask_class": Condition(kind=str, meaning=meaning, choices=names, per_image=True)}

    def prepare(self, pictures: Iterable[Tensor]) -> None:
        """Fit the normal distribution to training pictures ``(3, H, W)`` and mirrored ones."""
        self.prior.fit(side for one in pictures for side in (one, one.flip(-1)))

    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        """``face``: which of the probable faces; the others are the grain of maps by size."""
        unet = self.side // 2 if self.detail else self.side
        spec: dict[str, tuple[int, ...]] = {"face": (n, self.directions)}
        for name, side in {"deep": unet // (4 * BLOCK), "fine": unet // BLOCK}.items():
            spec[name] = (n, 1, side, side)
        if self.detail:
            spec |= self.detail.grains(n, self.side)
            if h > self.side:
                spec |= {LARGER + name: shape for name, shape in self.detail.grains(n, h).items()}
        return spec

    def latents_of(self, image: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """The draw ``face`` that leads to these very pictures, to learn from.

        Args:
            image: ``(N, 3, side, side)`` in [-1, 1], whole.
            mask: ``(N, 1, side, side)``, 1 = hole.
        """
        return {"face": self.prior.draws_of(image, mask) / max(self.temperature, 1e-6)}

    def fill_conditioned(
        self,
        visible: Tensor,
        hole: Tensor,
        latents: Mapping[str, Any],
        conditions: Mapping[str, Any],
    ) -> Tensor:
        """The first guess plus what the network adds, within [-1, 1]."""
        embedded = None
        if self.class_conditional:
            embedded = self._embedded(conditions["mask_class"], visible.device)
        visible = visible if self.training else muted(visible)
        if self.detail is not None and visible.shape[-1] > self.side:
            answer = self._larger(self.detail, visible, hole, embedded, latents)
        else:
            answer, _ = self._native(visible, hole, embedded, latents)
        if self.training:
            return answer
        return in_known_colours(answer, visible, hole).clamp(-1, 1)

    def _native(
        self, visible: Tensor, hole: Tensor, told: Tensor | None, latents: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The whole picture ``(N, 3, side, side)``, and the coarse stage's map behind it."""
        guess = self._first_guess(visible, hole, latents["face"])
        if self.detail is None:
            return self.coarse(guess, hole, told, latents)
        small, features = self.coarse(halved(guess), (halved(hole) > 0).to(hole), told, latents)
        begun = torch.where(hole > 0, enlarged(small), visible)
        return self.detail(begun, hole, features, latents), features

    def _larger(
        self,
        detail: DetailStage,
        visible: Tensor,
        hole: Tensor,
        told: Tensor | None,
        latents: Mapping[str, Tensor],
    ) -> Tensor:
        """A picture of twice the side: the detail stage takes one more step."""
        hidden = (halved(hole) > 0).to(hole)
        small = halved(visible) * (1 - hidden)
        answer, features = self._native(small, hidden, told, latents)
        begun = enlarged(torch.where(hidden > 0, answer, small))
        grain = {
            name.removeprefix(LARGER): latent
            for name, latent in latents.items()
            if name.startswith(LARGER)
        }
        return detail(torch.where(hole > 0, begun, visible), hole, enlarged(features), grain)

    def _first_guess(self, visible: Tensor, hole: Tensor, draws: Tensor) -> Tensor:
        """Known pixels as they are; in the hole a probable face that meets them without a step."""
        face = self.prior(visible, hole, self.temperature * draws)
        return face + pyramid_fill((visible - face) * (1 - hole), hole)

    def _embedded(self, classes: Sequence[str | None], device: torch.device) -> Tensor:
        """``(N, C, 1, 1)``: what is added everywhere for each image's mask class."""
        names = [None, *(str(known) for known in MASK_CLASSES)]
        numbers = [names.index(name) for name in classes]
        return self.component(torch.tensor(numbers, device=device))[:, :, None, None]


class CoarseStage(nn.Module):
    """U-Net of three scales with global attention at the smallest."""

    def __init__(self, side: int, widths: tuple[int, int, int], depth: int) -> None:
        super().__init__()
        fine, middle, deep = widths
        self.stem = nn.Conv2d(4 * BLOCK**2, fine, 3, padding=1)
        self.fine_in = Residual(fine)
        self.shrink = nn.Conv2d(fine, middle, 3, stride=2, padding=1)
        self.middle_in = Residual(middle)
        self.shrink_again = nn.Conv2d(middle, deep, 3, stride=2, padding=1)
        deep_side = side // (4 * BLOCK)
        self.position = nn.Parameter(torch.randn(1, deep, deep_side, deep_side) * 0.02)
        self.deep = nn.Sequential(*(GlobalBlock(deep) for _ in range(depth)))
        self.to_middle = Widen(deep, middle)
        self.deep_grain = Grain(deep)
        self.middle_out = nn.Sequential(Residual(middle), Residual(middle))
        self.to_fine = Widen(middle, fine)
        self.fine_grain = Grain(fine)
        self.fine_out = nn.Sequential(*(Residual(fine) for _ in range(4)))
        self.to_pixels = nn.Conv2d(fine, 3 * BLOCK**2, 3, padding=1)
        initialise(self)
        nn.init.zeros_(self.to_pixels.weight)

    def forward(
        self,
        guess: Tensor,
        hole: Tensor,
        told: Tensor | None,
        latents: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Picture ``(N, 3, S, S)`` and the map ``(N, C, S / 4, S / 4)`` behind it.

        Args:
            guess: ``(N, 3, S, S)``, the hole filled with something probable.
            hole: ``(N, 1, S, S)``.
            told: added to the smallest map.
            latents: the grains ``deep`` and ``fine``.
        """
        fine = self.fine_in(self.stem(to_blocks(guess, hole)))
        middle = self.middle_in(self.shrink(fine))
        deep = self.shrink_again(middle) + self.position
        deep = self.deep_grain(deep if told is None else deep + told, latents["deep"])
        deep = self.deep(deep)
        middle = self.middle_out(self.to_middle(deep, middle))
        fine = self.fine_out(self.fine_grain(self.to_fine(middle, fine), latents["fine"]))
        return guess + from_blocks(self.to_pixels(F.silu(fine))), fine


class DetailStage(nn.Module):
    """Adds to an enlarged picture what it lacks, at a quarter, at half and at the full side."""

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4 * BLOCK**2, channels, 3, padding=1)
        self.join = nn.Conv2d(features, channels, 1)
        self.grain = Grain(channels)
        self.body = nn.Sequential(*(Residual(channels) for _ in range(4)))
        self.to_pixels = nn.Conv2d(channels, 3 * BLOCK**2, 3, padding=1)
        self.finer = Finer(channels, 2 * channels // 3, 2)
        self.finest = Finer(2 * channels // 3, channels // 3, 1)
        self.to_colours = nn.Conv2d(channels // 3, 3, 3, padding=1)
        initialise(self)
        nn.init.zeros_(self.to_pixels.weight)
        nn.init.zeros_(self.to_colours.weight)

    @staticmethod
    def grains(n: int, side: int) -> dict[str, tuple[int, ...]]:
        """Shape of the noise on each map, for ``n`` pictures of ``side``."""
        sides = {"blocks": side // BLOCK, "half": side // 2, "full": side}
        return {name: (n, 1, length, length) for name, length in sides.items()}

    def forward(
        self, picture: Tensor, hole: Tensor, features: Tensor, latents: Mapping[str, Tensor]
    ) -> Tensor:
        """``(N, 3, S, S)``, from one like it and the coarse stage's map of an eighth its side."""
        x = self.stem(to_blocks(picture, hole)) + enlarged(self.join(features))
        x = self.body(self.grain(x, latents["blocks"]))
        picture = picture + from_blocks(self.to_pixels(F.silu(x)))
        x = self.finer(x, picture, hole, latents["half"])
        x = self.finest(x, picture, hole, latents["full"])
        return picture + self.to_colours(F.silu(x))


class Finer(nn.Module):
    """A map of twice the height and width, which sees the picture at its own side."""

    def __init__(self, inputs: int, outputs: int, block: int) -> None:
        super().__init__()
        self.block = block
        self.narrow = nn.Conv2d(inputs, outputs, 1)
        self.look = nn.Conv2d(4 * block**2, outputs, 3, padding=1)
        self.grain = Grain(outputs)
        self.body = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )

    def forward(self, x: Tensor, picture: Tensor, hole: Tensor, noise: Tensor) -> Tensor:
        """``(N, inputs, H, W)`` to ``(N, outputs, 2H, 2W)``."""
        x = enlarged(self.narrow(x)) + self.look(to_blocks(picture, hole, self.block))
        x = self.grain(x, noise)
        return x + self.body(x)


class Grain(nn.Module):
    """Noise on each channel of a map, as strong as is learnt (Karras et al., 2019, StyleGAN)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same; ``noise`` is ``(N, 1, H, W)``."""
        return x + self.strength[:, None, None] * noise
