"""What generator and discriminator are told about a pass: the recipe's losses, put together."""

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
"""Distance ``(N,)`` of filled and true pictures ``(N, 3, H, W)`` in [-1, 1]."""

Terms = dict[str, Tensor]
"""Loss terms by name: means over the pass, not yet weighted."""


class Objective:
    """The losses of a recipe.

    Args:
        weights: of the losses, 0 for those left out.
        perceptual: needed where ``weights.perceptual`` is not 0.
    """

    def __init__(self, weights: Losses, perceptual: Perceptual | None = None) -> None:
        self.weights = weights
        self.perceptual = perceptual

    def has_discriminator(self, step: int) -> bool:
        """Whether a discriminator takes part in a step."""
        return self.weights.adversarial > 0 and step >= self.weights.adversarial_from

    def generator_loss(
        self, players: AdversarialPair, batch: Batch, answers: Sequence[Tensor], adversarial: bool
    ) -> tuple[Tensor, Terms]:
        """Loss of the generator for a pass, and its terms.

        Args:
            players: who play.
            batch: true pictures and holes.
            answers: filled pictures by stage, the final one first; the terms that compare with
                the truth look at that one only, as the published recipes do.
            adversarial: whether the discriminator takes part.
        """
        weights, final = self.weights, answers[0].float()
        per_picture: dict[str, tuple[float, Tensor]] = {
            "hole_l1": (weights.hole_l1, losses.weighted_l1(final, batch.image, batch.hole))
        }
        if weights.perceptual and self.perceptual is not None:
            per_picture["perceptual"] = (weights.perceptual, self.perceptual(final, batch.image))
        if adversarial:
            judged = players.judge(answers, batch.hole)
            per_picture["adversarial"] = (weights.adversarial, _sum(judged, 1))
            if weights.feature_matching:
                matched = self._matched(players, batch, judged)
                per_picture["feature_matching"] = (weights.feature_matching, matched)
        share = self._shares(batch)
        total = torch.stack([(w * value * share).mean() for w, value in per_picture.values()]).sum()
        return total, {name: value.mean().detach() for name, (_, value) in per_picture.items()}

    def discriminator_loss(
        self, players: AdversarialPair, batch: Batch, answers: Sequence[Tensor]
    ) -> tuple[Tensor, Terms]:
        """Loss of the discriminator for a pass, and its terms; ``answers`` carry no gradient."""
        fake = players.judge(answers, batch.hole)
        real = players.judge([batch.image] * len(answers), batch.hole)
        terms = {
            "discriminator_fake": _sum(fake, -1).mean(),
            "discriminator_real": _sum(real, 1).mean(),
        }
        return sum(terms.values(), torch.zeros(())), {k: v.detach() for k, v in terms.items()}

    def penalty(self, players: AdversarialPair, batch: Batch) -> tuple[Tensor, Terms]:
        """Gradient penalty of the discriminator for a pass, times the steps it stands for."""
        picture = batch.image.detach().clone().requires_grad_()
        judged = players.penalised(picture, batch.hole)
        each = [losses.gradient_penalty(j.logits.float(), picture) for j in judged]
        norm = torch.stack(each).sum(dim=0).mean()
        return self.weights.r1 / 2 * self.weights.r1_every * norm, {"r1": norm.detach()}

    def _matched(
        self, players: AdversarialPair, batch: Batch, judged: Sequence[DiscriminatorOutput]
    ) -> Tensor:
        with torch.no_grad():
            real = players.judge([batch.image] * len(judged), batch.hole)
        matched = [
            losses.feature_matching(true.features, fake.features, batch.hole)
            for true, fake in zip(real, judged)
        ]
        return torch.stack(matched).sum(dim=0)

    def _shares(self, batch: Batch) -> Tensor:
        weights = [self.weights.class_weights.get(name, 1.0) for name in batch.classes]
        return torch.tensor(weights, device=batch.image.device)


def _sum(judged: Sequence[DiscriminatorOutput], sign: int) -> Tensor:
    """Logistic loss ``(N,)`` over all stages."""
    stages = [losses.mean_logistic(sign * j.logits.float(), j.weight) for j in judged]
    return torch.stack(stages).sum(dim=0)
