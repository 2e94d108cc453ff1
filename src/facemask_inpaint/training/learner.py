"""The networks of a run with their optimisers, and one step of training them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor, nn

from facemask_inpaint._internal import distributed
from facemask_inpaint._internal.types import State
from facemask_inpaint.training import optimisation
from facemask_inpaint.training.adversarial import AdversarialPair
from facemask_inpaint.training.dataset import Batch
from facemask_inpaint.training.objective import Objective, Terms
from facemask_inpaint.training.recipes import Recipe

Loss = Callable[[Batch], tuple[Tensor, Terms]]

_GENERATOR_PHASE, _DISCRIMINATOR_PHASE, _GLOBAL_PHASE = range(3)
"""Last number of the seed: what the draws of a step are for."""


class LearnerState(TypedDict):
    """What a checkpoint holds of a :class:`Learner`.

    Attributes:
        pair: weights of generator and discriminator.
        average: weights of the averaged generator.
        optimisers: state of each optimiser.
        step: number of steps done.
    """

    pair: dict[str, Tensor]
    average: dict[str, Tensor]
    optimisers: dict[str, dict[str, State]]
    step: int


class Learner:
    """Generator, discriminator, their optimisers, and the averaged generator.

    Args:
        recipe: learning rates, precision and seed.
        pair: generator and discriminator.
        objective: the losses.
        steps: length of the whole run.
        device: to train on.

    Attributes:
        average: the generator's moving average, in inference mode.
        step: number of steps done.
    """

    def __init__(
        self,
        recipe: Recipe,
        pair: AdversarialPair,
        objective: Objective,
        *,
        steps: int,
        device: torch.device,
    ) -> None:
        self.recipe, self.objective = recipe, objective
        self.steps, self.device = steps, device
        self.pair = pair.to(device).train()
        self.pair.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = optimisation.averaged(pair.generator)
        self.optimisers = {
            "generator": optimisation.build(pair.generator, recipe.generator),
            "discriminator": optimisation.build(pair.discriminator, recipe.discriminator),
        }
        self.step = 0

    def train_step(self, batches: Sequence[Batch]) -> Terms:
        """Take one step on this process's share of a batch, given in passes.

        Draws from the global generator, such as those of a dropout, depend on step and process
        alone.

        Returns:
            The loss terms of this process, not yet weighted.
        """
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(_seed(self.recipe.seed, self.step, _GLOBAL_PHASE, distributed.rank()))
            terms = self._update_both(batches)
        self._average_buffers()
        self.step += 1
        optimisation.update_average(
            self.average,
            self.pair.generator,
            images=self.recipe.batch_size,
            seen=self.recipe.batch_size * self.step,
            half_life=self.recipe.ema_half_life,
        )
        return terms

    def state_dict(self) -> LearnerState:
        """Return weights and optimisers, for a checkpoint."""
        return {
            "pair": self.pair.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": {name: each.state_dict() for name, each in self.optimisers.items()},
            "step": self.step,
        }

    def load_state_dict(self, state: LearnerState) -> None:
        """Take up what :meth:`state_dict` returned."""
        self.pair.load_state_dict(state["pair"])
        self.average.load_state_dict(state["average"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        self.step = state["step"]

    def _update_both(self, batches: Sequence[Batch]) -> Terms:
        for name, optimiser in self.optimisers.items():
            settings = getattr(self.recipe, name)
            optimisation.set_learning_rate(optimiser, settings, self.step, self.steps)
        adversarial = self.objective.is_adversarial(self.step)
        predicted: dict[tuple[int, ...], Sequence[Tensor]] = {}

        def generator_loss(batch: Batch) -> tuple[Tensor, Terms]:
            composites = self._predict(batch, _GENERATOR_PHASE)
            predicted[batch.positions] = [composite.detach() for composite in composites]
            return self.objective.generator_loss(self.pair, batch, composites, adversarial)

        def discriminator_loss(batch: Batch) -> tuple[Tensor, Terms]:
            composites = predicted[batch.positions]
            if self.pair.redraws:
                with torch.no_grad():
                    composites = self._predict(batch, _DISCRIMINATOR_PHASE)
            return self.objective.discriminator_loss(self.pair, batch, composites)

        def penalty(batch: Batch) -> tuple[Tensor, Terms]:
            return self.objective.penalty(self.pair, batch)

        terms = self._update("generator", batches, generator_loss)
        if adversarial:
            terms |= self._update("discriminator", batches, discriminator_loss)
            if self.recipe.losses.r1 and self.step % self.recipe.losses.r1_every == 0:
                # A gradient of a gradient needs float32.
                terms |= self._update("discriminator", batches, penalty, exact=True)
        return terms

    def _update(
        self, name: str, batches: Sequence[Batch], loss: Loss, *, exact: bool = False
    ) -> Terms:
        """Move one of the networks down the gradient of a loss over the whole batch.

        Raises:
            NotFiniteError: A loss is not a finite number; the network stays as it is.
        """
        network: nn.Module = getattr(self.pair, name)
        self.pair.requires_grad_(False)
        network.requires_grad_(True)
        self.optimisers[name].zero_grad()
        sums: Terms = {}
        for batch in batches:
            with self._precision(exact):
                total, terms = loss(batch)
            torch.autograd.backward(total / len(batches))
            for term, value in terms.items():
                sums[term] = sums.get(term, torch.zeros(())) + value / len(batches)
        require_finite(sums)
        distributed.average_gradients(network)
        self.optimisers[name].step()
        return sums

    def _precision(self, exact: bool) -> torch.autocast:
        lower = self.recipe.precision == "bfloat16" and not exact
        return torch.autocast(self.device.type, torch.bfloat16, enabled=lower)

    def _predict(self, batch: Batch, phase: int) -> tuple[Tensor, ...]:
        generators = [
            torch.Generator().manual_seed(_seed(self.recipe.seed, position, phase))
            for position in batch.positions
        ]
        return self.pair.predict(batch, generators)

    def _average_buffers(self) -> None:
        """Give all processes one running mean; each of them has seen other images."""
        floats = [b for b in self.pair.generator.buffers() if b.is_floating_point()]
        distributed.average(floats)


class NotFiniteError(ArithmeticError):
    """Loss terms of this or another process are not finite numbers.

    Attributes:
        terms: this process's terms by name.
    """

    def __init__(self, terms: Mapping[str, float]) -> None:
        self.terms = terms
        names = [name for name, value in terms.items() if not np.isfinite(value)]
        super().__init__(", ".join(names) or "a loss of another process")


def require_finite(terms: Terms) -> None:
    """Stop all processes where a term of any of them is not a finite number.

    Raises:
        NotFiniteError: With this process's terms.
    """
    finite = all(bool(torch.isfinite(value)) for value in terms.values())
    if distributed.any_process(not finite):
        raise NotFiniteError({name: float(value) for name, value in terms.items()})


def _seed(*numbers: int) -> int:
    """Derive a seed from the run's own, a position or step, a phase, and so on."""
    mixed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return int(mixed[0] >> np.uint64(1))
