"""Generator and discriminator of each architecture, behind one way to train them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from facemask_inpaint import models
from facemask_inpaint.errors import OptionError
from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.models._building import build
from facemask_inpaint.training.dataset import Batch
from facemask_inpaint.training.discriminators import DiscriminatorOutput, PatchDiscriminator

Generators = Sequence[torch.Generator]
"""One source of draws per picture, so that a picture's draws do not depend on its batch."""


class AdversarialPair(nn.Module):
    """A generator and its discriminator: one filled picture, one discriminator that judges patches.

    Args:
        generator: the network to train.
        discriminator: judges filled pictures.

    Attributes:
        fresh: whether generator and discriminator each train on draws of their own.
    """

    fresh = False

    def __init__(self, generator: InpaintingNetwork, discriminator: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator

    @classmethod
    def create(
        cls, generator: InpaintingNetwork, side: int, options: Mapping[str, Any]
    ) -> AdversarialPair:
        """Pair a generator with an untrained discriminator."""
        return cls(generator, build(PatchDiscriminator, options, "the discriminator"))

    def fill(self, batch: Batch, generators: Generators) -> tuple[Tensor, ...]:
        """Filled pictures ``(N, 3, H, W)``, composited, the final one first."""
        answer = self.generator(batch.image, batch.hole, generator=generators)
        return (torch.where(batch.hole > 0, answer.float(), batch.image),)

    def judge(self, pictures: Sequence[Tensor], hole: Tensor) -> tuple[DiscriminatorOutput, ...]:
        """What the discriminator says of each of the pictures that :meth:`fill` answers."""
        return tuple(self.discriminator(picture, hole) for picture in pictures)

    def penalised(self, image: Tensor, hole: Tensor) -> tuple[DiscriminatorOutput, ...]:
        """What the discriminator says of real pictures, for a gradient penalty."""
        return self.judge([image], hole)


class LitePair(AdversarialPair):
    """``lite``, which learns what its draws mean.

    For some pictures the draw is the one that leads to the true face, as an encoder of a
    variational autoencoder would have it, so that the network learns to follow it; for the others
    it is none, and the network answers what is most probable.
    """

    followed = 0.4
    """Share of pictures whose draw leads to the truth."""
    untold = 0.25
    """Share of holes whose class is kept from a class-conditional network."""

    def fill(self, batch: Batch, generators: Generators) -> tuple[Tensor, ...]:
        net: Any = self.generator
        told = {"mask_class": self._told(batch, generators)} if net.class_conditional else {}
        follows = [torch.rand((), generator=one).item() < self.followed for one in generators]
        true = net.latents_of(batch.image, batch.hole)["face"]
        latents = {"face": true * torch.tensor(follows, device=true.device)[:, None]}
        answer = net(
            batch.image, batch.hole, latents=latents, generator=generators, conditions=told
        )
        return (torch.where(batch.hole > 0, answer.float(), batch.image),)

    def _told(self, batch: Batch, generators: Generators) -> list[str | None]:
        kept = [torch.rand((), generator=one).item() >= self.untold for one in generators]
        return [name if told and name else None for name, told in zip(batch.classes, kept)]


class MIGANPair(AdversarialPair):
    """MI-GAN and a StyleGAN2 discriminator, which judges a picture as a whole."""

    @classmethod
    def create(
        cls, generator: InpaintingNetwork, side: int, options: Mapping[str, Any]
    ) -> AdversarialPair:
        return cls(generator, _discriminator(side, options).final)

    def judge(self, pictures: Sequence[Tensor], hole: Tensor) -> tuple[DiscriminatorOutput, ...]:
        return tuple(DiscriminatorOutput(self.discriminator(picture, hole)) for picture in pictures)


class MATPair(AdversarialPair):
    """MAT: two stages, two discriminators, mixed styles, and a running mean of the mapping.

    Li et al., "MAT: Mask-Aware Transformer for Large Hole Image Inpainting", 2022, section 3.6.
    """

    fresh = True
    mixing = 0.5
    """Chance that the later layers have the style of a second draw."""
    truncation = 0.5
    """How far training keeps styles from their mean; the published models were trained so."""
    mean_rate = 0.005

    @classmethod
    def create(
        cls, generator: InpaintingNetwork, side: int, options: Mapping[str, Any]
    ) -> AdversarialPair:
        return cls(generator, _discriminator(side, options))

    def fill(self, batch: Batch, generators: Generators) -> tuple[Tensor, ...]:
        net: Any = self.generator
        image, hole = batch.image, batch.hole
        n, _, h, w = image.shape
        drawn = net.draw_latents(n, h, w, generator=generators)
        latents = {name: latent.to(image) for name, latent in drawn.items()}
        ws = self._styles(net, latents["z"], generators)
        return net.both_stages(image * (1 - hole), hole, ws, latents)

    def _styles(self, net: Any, z: Tensor, generators: Generators) -> Tensor:
        """``(N, rows, D)`` styles, some of them of two draws."""
        rows, mean = net.refinement.decoder.rows, net.mapping.w_avg
        w = net.mapping(z)
        if net.training:
            mean.lerp_(w.detach().mean(dim=0), self.mean_rate)
        ws = mean.lerp(w, self.truncation)[:, None].expand(-1, rows, -1)
        other = torch.cat([torch.randn(1, z.shape[1], generator=one) for one in generators]).to(z)
        cuts = [self._cut(rows, one) for one in generators]
        later = torch.arange(rows)[None] >= torch.tensor(cuts)[:, None]
        second = net.mapping(other, self.truncation)[:, None]
        return torch.where(later[..., None].to(z.device), second, ws)

    def _cut(self, rows: int, generator: torch.Generator) -> int:
        mixed = torch.rand((), generator=generator).item() < self.mixing
        cut = int(torch.randint(1, rows, (), generator=generator))
        return cut if mixed else rows

    def judge(self, pictures: Sequence[Tensor], hole: Tensor) -> tuple[DiscriminatorOutput, ...]:
        final, coarse = pictures
        return tuple(
            DiscriminatorOutput(logits) for logits in self.discriminator(final, coarse, hole)
        )

    def penalised(self, image: Tensor, hole: Tensor) -> tuple[DiscriminatorOutput, ...]:
        return self.judge([image, image], hole)


TRAINABLE: Mapping[str, type[AdversarialPair]] = {
    "lite": LitePair,
    "mat": MATPair,
    "migan": MIGANPair,
}
"""Architectures that can be trained, with what trains them."""


def _discriminator(side: int, options: Mapping[str, Any]) -> Any:
    from facemask_inpaint.models.mat import Discriminator

    if "resolution" in options:
        raise OptionError("the discriminator's resolution is the recipe's side; leave it out")
    return build(Discriminator, {**options, "resolution": side}, "the discriminator")


def create_pair(
    architecture: str,
    options: Mapping[str, Any],
    *,
    side: int,
    discriminator_options: Mapping[str, Any],
) -> AdversarialPair:
    """Untrained players of an architecture.

    Args:
        architecture: a key of :data:`TRAINABLE`.
        options: the network's constructor arguments.
        side: of the pictures in pixels.
        discriminator_options: the discriminator's constructor arguments.

    Raises:
        OptionError: nothing here trains this architecture, or it has no such options.
        SizeError: the network takes no pictures of this side.
    """
    if architecture not in TRAINABLE:
        raise OptionError(
            f"{architecture!r} cannot be trained here; {', '.join(TRAINABLE)} can. For others take "
            "MixedMaskSampler into their own training loop"
        )
    network = models.create(architecture, **options)
    network.check_size(side, side)
    return TRAINABLE[architecture].create(network, side, discriminator_options)
