"""The losses of generator and discriminator for a batch, put together from a recipe's weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from facemask_inpaint.training import losses
from facemask_inpaint.training.adversarial import AdversarialPair
from facemask_inpaint.training.dataset import Batch
from facemask_inpaint.training.discriminators import DiscriminatorOutput
from facemask_inpaint.training.recipes import Losses

Perceptual = Callable[[Tensor, Tensor], Tensor]
"""Distance ``(N,)`` between predicted and real images ``(N, 3, H, W)`` in [-1, 1]."""

Terms = dict[str, Tensor]
"""Loss terms by name: means over a batch, not yet weighted."""


class Objective:
    """The losses of a recipe.

    Args:
        weights: of the losses; 0 leaves one out.
        perceptual: needed where ``weights.perceptual`` is not 0.
    """

    def __init__(self, weights: Losses, perceptual: Perceptual | None = None) -> None:
        self.weights = weights
        self.perceptual = perceptual

    def is_adversarial(self, step: int) -> bool:
        """Return whether a discriminator takes part in a step."""
        return self.weights.adversarial > 0 and step >= self.weights.adversarial_from

    def generator_loss(
        self, pair: AdversarialPair, batch: Batch, composites: Sequence[Tensor], adversarial: bool
    ) -> tuple[Tensor, Terms]:
        """Return the generator's loss for a batch, and its terms.

        Args:
            pair: generator and discriminator.
            batch: real images and holes.
            composites: by stage, the final one first; the terms that compare with real images look
                at that one only, as the published recipes do.
            adversarial: whether the discriminator takes part.
        """
        weights, final = self.weights, composites[0].float()
        per_image: dict[str, tuple[float, Tensor]] = {
            "hole_l1": (weights.hole_l1, losses.weighted_l1(final, batch.image, batch.hole))
        }
        if weights.perceptual and self.perceptual is not None:
            per_image["perceptual"] = (weights.perceptual, self.perceptual(final, batch.image))
        if adversarial:
            fake = pair.discriminate(composites, batch.hole)
            per_image["adversarial"] = (weights.adversarial, _logistic(fake, 1))
            if weights.feature_matching:
                matching = self._feature_matching(pair, batch, fake)
                per_image["feature_matching"] = (weights.feature_matching, matching)
        factors = self._factors(batch)
        total = torch.stack([(w * value * factors).mean() for w, value in per_image.values()]).sum()
        return total, {name: value.mean().detach() for name, (_, value) in per_image.items()}

    def discriminator_loss(
        self, pair: AdversarialPair, batch: Batch, composites: Sequence[Tensor]
    ) -> tuple[Tensor, Terms]:
        """Return the discriminator's loss for a batch, and its terms.

        Args:
            pair: generator and discriminator.
            batch: real images and holes.
            composites: by stage, without a gradient.
        """
        fake = pair.discriminate(composites, batch.hole)
        real = pair.discriminate([batch.image] * len(composites), batch.hole)
        terms = {
            "discriminator_fake": _logistic(fake, -1).mean(),
            "discriminator_real": _logistic(real, 1).mean(),
        }
        return sum(terms.values(), torch.zeros(())), {k: v.detach() for k, v in terms.items()}

    def penalty(self, pair: AdversarialPair, batch: Batch) -> tuple[Tensor, Terms]:
        """Return the discriminator's gradient penalty, times the steps that it stands for."""
        image = batch.image.detach().clone().requires_grad_()
        outputs = pair.discriminate_real(image, batch.hole)
        each = [losses.gradient_penalty(output.logits.float(), image) for output in outputs]
        norm = torch.stack(each).sum(dim=0).mean()
        return self.weights.r1 / 2 * self.weights.r1_every * norm, {"r1": norm.detach()}

    def _feature_matching(
        self, pair: AdversarialPair, batch: Batch, fake: Sequence[DiscriminatorOutput]
    ) -> Tensor:
        with torch.no_grad():
            real = pair.discriminate([batch.image] * len(fake), batch.hole)
        stages = [
            losses.feature_matching(theirs.features, ours.features, batch.hole)
            for theirs, ours in zip(real, fake)
        ]
        return torch.stack(stages).sum(dim=0)

    def _factors(self, batch: Batch) -> Tensor:
        factors = [self.weights.class_weights.get(name, 1.0) for name in batch.classes]
        return torch.tensor(factors, device=batch.image.device)


def _logistic(outputs: Sequence[DiscriminatorOutput], sign: int) -> Tensor:
    """Logistic loss ``(N,)`` over all stages."""
    stages = [losses.mean_logistic(sign * each.logits.float(), each.weight) for each in outputs]
    return torch.stack(stages).sum(dim=0)
