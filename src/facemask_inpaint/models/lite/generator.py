"""The network: a first guess, a U-Net at half the side, and detail at the full side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks import FACES
from facemask_inpaint.models._conditions import BatchConditions, Condition, ConditionSpec
from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.layers.checks import require_multiple
from facemask_inpaint.models.lite.blocks import (
    BLOCK,
    HEAD_WIDTH,
    GlobalBlock,
    Grain,
    Residual,
    UpsampleJoin,
    downsample,
    from_blocks,
    initialise,
    to_blocks,
    upsample,
)
from facemask_inpaint.models.lite.colour_range import in_known_colours, muted
from facemask_inpaint.models.lite.face_prior import FacePrior
from facemask_inpaint.models.lite.pyramid_fill import pyramid_fill

PRIOR_RESOLUTION = 64
"""Side of the images that the normal distribution is over."""

LARGER = "larger_"
"""Begins the names of latents that only images of twice the resolution have."""

TEMPERATURE = 0.6
"""Factor on the draws of the first guess: at 1 many heads are of a strange colour."""


class Lite(InpaintingNetwork):
    """A U-Net at half the side, then detail at the full side.

    Draws which of all probable faces it begins with, and the grain of hair and skin. Takes faces of
    one size, aligned as in CelebA-HQ, where it learnt which component belongs where, or of twice
    that size; the ``Inpainter`` resizes other images.

    Args:
        resolution: side of the images in pixels, a multiple of 32.
        widths: channels of the U-Net at 1/4, 1/8 and 1/16 of its side; the last a multiple of 64.
        depth: attention blocks of the U-Net.
        directions: of the normal distribution over faces, see :class:`FacePrior`.
        detail: channels of the detail stage; 0 leaves it out, and the U-Net has the full side.
        temperature: factor on the draws of the first guess; 0 begins with the most probable face.
        mask_classes: names of the mask classes that a class-conditional network is trained with;
            empty for one that is not. A class of another name counts as none; an ``Inpainter``
            refuses names that are no mask class at all, where the network's own are of faces.

    Raises:
        OptionError: an argument is out of its range.

    Example:
        >>> import torch
        >>> from facemask_inpaint.models.lite import Lite
        >>> network = Lite(resolution=64, widths=(8, 16, 64), depth=1, detail=8)
        >>> network(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).shape
        torch.Size([1, 3, 64, 64])
    """

    anchors = ("prior.mean",)
    any_size = False

    def __init__(
        self,
        *,
        resolution: int = 256,
        widths: tuple[int, int, int] = (64, 128, 256),
        depth: int = 3,
        directions: int = 64,
        detail: int = 48,
        temperature: float = TEMPERATURE,
        mask_classes: Sequence[str] = (),
    ) -> None:
        super().__init__()
        require_multiple("resolution", resolution, 8 * BLOCK)
        if min(depth, directions, detail) < 0 or min(widths) < 1:
            raise OptionError(
                "depth, directions and detail are not negative and widths are positive, not "
                f"{depth}, {directions}, {detail} and {widths}"
            )
        if len(widths) != 3 or widths[2] % HEAD_WIDTH:
            raise OptionError(
                f"widths are three numbers, the last a multiple of {HEAD_WIDTH}, not {widths}"
            )
        self.native_resolution = self.resolution = resolution
        self.larger_resolution = 2 * resolution if detail else None
        self.mask_classes = [str(name) for name in mask_classes]
        if mask_classes:
            self.class_embedding = nn.Embedding(1 + len(mask_classes), widths[2])
        self.prior = FacePrior(PRIOR_RESOLUTION, directions)
        self.directions, self.temperature = directions, temperature
        self.coarse = CoarseStage(resolution // 2 if detail else resolution, widths, depth)
        self.detail = DetailStage(widths[0], detail) if detail else None

    @override
    def condition_spec(self) -> ConditionSpec:
        if not self.mask_classes:
            return {}
        of_faces = set(self.mask_classes) <= set(FACES.classes)
        known = FACES.by_name_or_letter if of_faces else {}
        return {
            "mask_class": Condition(
                value_type=str,
                meaning="mask class of the hole",
                spellings={spelling: str(class_.name) for spelling, class_ in known.items()},
                per_image=True,
            )
        }

    def prepare(self, images: Iterable[Tensor]) -> None:
        """Fit the normal distribution over faces.

        Args:
            images: of the training, ``(3, H, W)`` in [-1, 1]; their mirror images count too.
        """
        self.prior.fit(side for image in images for side in (image, image.flip(-1)))

    @override
    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes: ``face`` is which of the probable faces, the others are grain."""
        unet = self.resolution // 2 if self.detail else self.resolution
        spec: dict[str, tuple[int, ...]] = {"face": (n, self.directions)}
        for name, side in {"deep": unet // (4 * BLOCK), "fine": unet // BLOCK}.items():
            spec[name] = (n, 1, side, side)
        if self.detail:
            spec |= self.detail.grains(n, self.resolution)
            if h > self.resolution:
                spec |= {LARGER + name: shape for name, shape in self.detail.grains(n, h).items()}
        return spec

    def latents_of(self, image: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return the draw ``face`` that leads to these very images, to learn from.

        Args:
            image: ``(N, 3, resolution, resolution)`` in [-1, 1], whole.
            mask: ``(N, 1, resolution, resolution)``, 1 = hole.
        """
        return {"face": self.prior.draws_of(image, mask) / max(self.temperature, 1e-6)}

    @override
    def fill_conditioned(
        self,
        masked_image: Tensor,
        hole: Tensor,
        latents: Mapping[str, Tensor],
        conditions: BatchConditions,
    ) -> Tensor:
        classes = None
        if self.mask_classes:
            classes = self._embedded(conditions["mask_class"], masked_image.device)
        masked_image = masked_image if self.training else muted(masked_image)
        if self.detail is not None and masked_image.shape[-1] > self.resolution:
            prediction = self._larger(self.detail, masked_image, hole, classes, latents)
        else:
            prediction, _ = self._native(masked_image, hole, classes, latents)
        if self.training:
            return prediction
        return in_known_colours(prediction, masked_image, hole).clamp(-1, 1)

    def _native(
        self,
        masked_image: Tensor,
        hole: Tensor,
        classes: Tensor | None,
        latents: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Prediction at the native resolution, and the coarse stage's map behind it."""
        guess = self._first_guess(masked_image, hole, latents["face"])
        if self.detail is None:
            coarse: tuple[Tensor, Tensor] = self.coarse(guess, hole, classes, latents)
            return coarse
        small_hole = (downsample(hole) > 0).to(hole)
        small, features = self.coarse(downsample(guess), small_hole, classes, latents)
        begun = torch.where(hole > 0, upsample(small), masked_image)
        return self.detail(begun, hole, features, latents), features

    def _larger(
        self,
        detail: DetailStage,
        masked_image: Tensor,
        hole: Tensor,
        classes: Tensor | None,
        latents: Mapping[str, Tensor],
    ) -> Tensor:
        """Prediction at twice the resolution: the detail stage takes one more step."""
        small_hole = (downsample(hole) > 0).to(hole)
        small = downsample(masked_image) * (1 - small_hole)
        prediction, features = self._native(small, small_hole, classes, latents)
        begun = upsample(torch.where(small_hole > 0, prediction, small))
        grain = {
            name.removeprefix(LARGER): latent
            for name, latent in latents.items()
            if name.startswith(LARGER)
        }
        begun = torch.where(hole > 0, begun, masked_image)
        finished: Tensor = detail(begun, hole, upsample(features), grain)
        return finished

    def _first_guess(self, masked_image: Tensor, hole: Tensor, draws: Tensor) -> Tensor:
        """Known pixels as they are; in the hole a probable face that meets them without a step."""
        face = self.prior(masked_image, hole, self.temperature * draws)
        output: Tensor = face + pyramid_fill((masked_image - face) * (1 - hole), hole)
        return output

    def _embedded(self, classes: Sequence[str | None], device: torch.device) -> Tensor:
        """``(N, C, 1, 1)``: what is added everywhere for each image's mask class."""
        rows = {name: row for row, name in enumerate(self.mask_classes, start=1)}
        numbers = [rows.get(str(name), 0) for name in classes]
        embedded: Tensor = self.class_embedding(torch.tensor(numbers, device=device))
        return embedded[:, :, None, None]


class CoarseStage(nn.Module):
    """U-Net of three scales with global attention at the smallest."""

    def __init__(self, side: int, widths: tuple[int, int, int], depth: int) -> None:
        super().__init__()
        fine, middle, deep = widths
        self.stem = nn.Conv2d(4 * BLOCK**2, fine, 3, padding=1)
        self.fine_in = Residual(fine)
        self.down_to_middle = nn.Conv2d(fine, middle, 3, stride=2, padding=1)
        self.middle_in = Residual(middle)
        self.down_to_deep = nn.Conv2d(middle, deep, 3, stride=2, padding=1)
        deep_side = side // (4 * BLOCK)
        self.position = nn.Parameter(torch.randn(1, deep, deep_side, deep_side) * 0.02)
        self.deep = nn.Sequential(*(GlobalBlock(deep) for _ in range(depth)))
        self.up_to_middle = UpsampleJoin(deep, middle)
        self.deep_grain = Grain(deep)
        self.middle_out = nn.Sequential(Residual(middle), Residual(middle))
        self.up_to_fine = UpsampleJoin(middle, fine)
        self.fine_grain = Grain(fine)
        self.fine_out = nn.Sequential(*(Residual(fine) for _ in range(4)))
        self.to_pixels = nn.Conv2d(fine, 3 * BLOCK**2, 3, padding=1)
        initialise(self)
        nn.init.zeros_(self.to_pixels.weight)

    def forward(
        self,
        guess: Tensor,
        hole: Tensor,
        classes: Tensor | None,
        latents: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Return the image ``(N, 3, S, S)`` and the map ``(N, C, S / 4, S / 4)`` behind it.

        Args:
            guess: ``(N, 3, S, S)``, the hole filled with something probable.
            hole: ``(N, 1, S, S)``, 1 = fill.
            classes: ``(N, C, 1, 1)``, added to the smallest map; ``None`` for nothing.
            latents: the grains ``deep`` and ``fine``.
        """
        fine = self.fine_in(self.stem(to_blocks(guess, hole)))
        middle = self.middle_in(self.down_to_middle(fine))
        deep = self.down_to_deep(middle) + self.position
        deep = self.deep_grain(deep if classes is None else deep + classes, latents["deep"])
        deep = self.deep(deep)
        middle = self.middle_out(self.up_to_middle(deep, middle))
        fine = self.fine_out(self.fine_grain(self.up_to_fine(middle, fine), latents["fine"]))
        return guess + from_blocks(self.to_pixels(F.silu(fine))), fine


class DetailStage(nn.Module):
    """Adds to an upsampled image what it lacks, at a quarter, at half and at the full side."""

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
        """Return the shape of the noise on each map, for ``n`` images of ``side``."""
        sides = {"blocks": side // BLOCK, "half": side // 2, "full": side}
        return {name: (n, 1, length, length) for name, length in sides.items()}

    def forward(
        self, image: Tensor, hole: Tensor, features: Tensor, latents: Mapping[str, Tensor]
    ) -> Tensor:
        """Return ``(N, 3, S, S)``, from one like it and the coarse stage's map of an eighth."""
        x = self.stem(to_blocks(image, hole)) + upsample(self.join(features))
        x = self.body(self.grain(x, latents["blocks"]))
        image = image + from_blocks(self.to_pixels(F.silu(x)))
        x = self.finer(x, image, hole, latents["half"])
        x = self.finest(x, image, hole, latents["full"])
        output: Tensor = image + self.to_colours(F.silu(x))
        return output


class Finer(nn.Module):
    """A map of twice the height and width, which sees the image at its own side."""

    def __init__(self, inputs: int, outputs: int, block: int) -> None:
        super().__init__()
        self.block = block
        self.project = nn.Conv2d(inputs, outputs, 1)
        self.from_image = nn.Conv2d(4 * block**2, outputs, 3, padding=1)
        self.grain = Grain(outputs)
        self.body = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )

    def forward(self, x: Tensor, image: Tensor, hole: Tensor, noise: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, 2H, 2W)``."""
        x = upsample(self.project(x)) + self.from_image(to_blocks(image, hole, self.block))
        x = self.grain(x, noise)
        x = x + self.body(x)
        return x
