"""The training loop: one step, many steps, and going on after an interruption."""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from facemask_inpaint import images
from facemask_inpaint._internal import distributed
from facemask_inpaint._internal.progress import ProgressBar, progress_bar, timed_progress_bar
from facemask_inpaint.errors import CheckpointError, DivergedError, OptionError
from facemask_inpaint.inpainting.inpainter import Inpainter
from facemask_inpaint.masks import AdaptiveMaskSampler
from facemask_inpaint.training import optimisation, state
from facemask_inpaint.training.adversarial import AdversarialPair
from facemask_inpaint.training.dataset import Batch, TrainingImages, digest
from facemask_inpaint.training.log import TrainingLog
from facemask_inpaint.training.objective import Objective, Terms
from facemask_inpaint.training.recipes import Recipe
from facemask_inpaint.training.validation import Validation, errors, lines

_log = logging.getLogger(__name__)

_GLOBAL = 2
"""Tells the seed of the global generator from those of pictures, whose phases are 0 and 1."""

End = Literal["complete", "time", "stopped"]
"""Why a run is over: all steps are done, its minutes are up, or it was asked to stop."""

Loss = Callable[[Batch], tuple[Tensor, Terms]]


class Trainer:
    """One run in one folder.

    Everything random is a pure function of the recipe's seed and the number of a picture in the
    run. On the CPU a run that is interrupted and resumed is therefore equal, bit for bit, to one
    that is not.

    Args:
        recipe: what to do.
        players: generator and discriminator.
        objective: the losses.
        pictures: to train on.
        out: folder of the run.
        device: to train on.
        saved: checkpoint to go on from.
        validation: held-out pictures.
        workers: processes that read pictures; 0 reads in this one.
        progress: show a bar.
    """

    def __init__(
        self,
        recipe: Recipe,
        players: AdversarialPair,
        objective: Objective,
        pictures: TrainingImages,
        out: Path,
        *,
        device: torch.device,
        saved: Mapping[str, Any] | None = None,
        validation: Validation | None = None,
        workers: int = 0,
        progress: bool = True,
    ) -> None:
        share = recipe.batch // distributed.world_size()
        if share * distributed.world_size() != recipe.batch or share % recipe.passes:
            raise OptionError(
                f"a batch of {recipe.batch} cannot be split over {distributed.world_size()} "
                f"processes of {recipe.passes} passes each"
            )
        self.recipe, self.objective, self.pictures = recipe, objective, pictures
        self.out, self.device, self.validation = out, device, validation
        self.workers, self.progress = workers, progress
        self.players = players.to(device).train()
        self.players.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = optimisation.averaged(players.generator)
        self.optimisers = {
            "generator": optimisation.build(players.generator, recipe.generator),
            "discriminator": optimisation.build(players.discriminator, recipe.discriminator),
        }
        self.steps = recipe.length(len(pictures.faces))
        self.step = 0
        self.seconds = 0.0
        self.asked_to_stop = self.stopped = False
        self.end: End | None = None
        self._leads = distributed.rank() == 0
        self.journal = self._resume(saved)

    def run(self) -> Inpainter:
        """Train to the end, or to the limit in minutes, or until asked to stop.

        Returns:
            The averaged network, which is also in the folder ``model``.

        Raises:
            DivergedError: a loss is not a number; ``diverged-0.json`` names the batch, and the
                checkpoint before it stays.
        """
        with _stop_signals(self), self._bar() as bar:
            for batches in self._steps():
                started = time.monotonic()
                terms = self.train_step(batches)
                self.seconds += time.monotonic() - started
                self._after(terms, bar)
                self._move(bar)
                if self.stopped:
                    break
            self._move(bar)
        self._save()
        self.end = self._end()
        if self.journal is not None:
            self.journal.close()
        return self._export()

    def _end(self) -> End:
        """Why the run is over."""
        if self.step == self.steps:
            return "complete"
        return "stopped" if distributed.any_process(self.asked_to_stop) else "time"

    def train_step(self, batches: Sequence[Batch]) -> Terms:
        """One step on this process's share of a batch, given in passes.

        Draws from the global generator, such as a dropout's, depend on the step and process alone.
        """
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(_seed(self.recipe.seed, self.step, _GLOBAL, distributed.rank()))
            return self._train_step(batches)

    def _train_step(self, batches: Sequence[Batch]) -> Terms:
        for name, optimiser in self.optimisers.items():
            optimisation.set_rate(optimiser, getattr(self.recipe, name), self.step, self.steps)
        adversarial = self.objective.has_discriminator(self.step)
        filled: dict[tuple[int, ...], Sequence[Tensor]] = {}

        def generator_loss(batch: Batch) -> tuple[Tensor, Terms]:
            answers = self._fill(batch, phase=0)
            filled[batch.positions] = [answer.detach() for answer in answers]
            return self.objective.generator_loss(self.players, batch, answers, adversarial)

        def discriminator_loss(batch: Batch) -> tuple[Tensor, Terms]:
            answers = filled[batch.positions]
            if self.players.fresh:
                with torch.no_grad():
                    answers = self._fill(batch, phase=1)
            return self.objective.discriminator_loss(self.players, batch, answers)

        terms = self._update("generator", batches, generator_loss)
        if adversarial:
            terms |= self._update("discriminator", batches, discriminator_loss)
            if self.recipe.losses.r1 and self.step % self.recipe.losses.r1_every == 0:
                terms |= self._update("discriminator", batches, self._penalty, exact=True)
        self._share_buffers()
        self.step += 1
        optimisation.follow(
            self.average,
            self.players.generator,
            pictures=self.recipe.batch,
            seen=self.recipe.batch * self.step,
            half_life=self.recipe.ema,
        )
        return terms

    def _update(
        self, player: str, batches: Sequence[Batch], loss: Loss, *, exact: bool = False
    ) -> Terms:
        """Move a player down the gradient of a loss over the whole batch."""
        learning: nn.Module = getattr(self.players, player)
        self.players.requires_grad_(False)
        learning.requires_grad_(True)
        self.optimisers[player].zero_grad()
        sums: Terms = {}
        for batch in batches:
            with self._precision(exact):
                total, terms = loss(batch)
            (total / len(batches)).backward()
            for name, value in terms.items():
                sums[name] = sums.get(name, 0) + value / len(batches)
        self._require_finite(sums, batches)
        distributed.average_gradients(learning)
        self.optimisers[player].step()
        return sums

    def _penalty(self, batch: Batch) -> tuple[Tensor, Terms]:
        return self.objective.penalty(self.players, batch)

    def _precision(self, exact: bool) -> torch.autocast:
        """Autocast where the recipe asks for it; a gradient of a gradient needs float32."""
        lower = self.recipe.precision == "bfloat16" and not exact
        return torch.autocast(self.device.type, torch.bfloat16, enabled=lower)

    def _fill(self, batch: Batch, phase: int) -> tuple[Tensor, ...]:
        draws = [
            torch.Generator().manual_seed(_seed(self.recipe.seed, position, phase))
            for position in batch.positions
        ]
        return self.players.fill(batch, draws)

    def _steps(self) -> Iterator[list[Batch]]:
        """This process's passes of every step to come.

        Pictures are read ahead up to the next validation, after which masks may be drawn with
        other probabilities.
        """
        while self.step < self.steps and not self._is_over_time():
            every = self.recipe.validate_every or self.steps
            end = min(self.steps, (self.step // every + 1) * every)
            slices = [one for step in range(self.step, end) for one in self._slices(step)]
            passes = self.pictures.passes(slices, self.workers)
            for _ in range(self.step, end):
                yield [next(passes).to(self.device) for _ in range(self.recipe.passes)]

    def _slices(self, step: int) -> list[list[int]]:
        """Positions of this process's passes of a step."""
        share = self.recipe.batch // distributed.world_size()
        size = share // self.recipe.passes
        first = step * self.recipe.batch + distributed.rank() * share
        starts = range(first, first + share, size)
        return [list(range(start, start + size)) for start in starts]

    def _after(self, terms: Terms, bar: ProgressBar) -> None:
        """Everything that follows a step: log, checkpoint, validation, limits."""
        distributed.average(terms.values())
        values = {name: float(value) for name, value in terms.items()}
        rate = self.recipe.batch * self.step / max(self.seconds, 1e-9)
        if self.journal is not None:
            line = self.journal.record(self.step, values)
            if line is not None:
                shown = {name: f"{value:.3g}" for name, value in line.items() if name != "step"}
                bar.set_postfix(shown, refresh=False)
        every = self.recipe.validate_every
        if every and (self.step % every == 0 or self.step == self.steps):
            self._validate(rate)
        self.stopped = distributed.any_process(self.asked_to_stop or self._is_over_time())
        if self.step % self.recipe.save_every == 0 and not self.stopped:
            self._save()

    def _is_over_time(self) -> bool:
        return self.recipe.minutes is not None and self.seconds >= 60 * self.recipe.minutes

    def _validate(self, rate: float) -> None:
        """Measure the averaged network, draw a sheet, and tell an adaptive sampler."""
        if self.validation is None:
            return
        scores = self.validation.measure(self.average)
        if self.journal is not None:
            self.journal.write({"step": self.step, "validation": scores})
            title = f"{self.recipe.name}, step {self.step}: original, hole, filled"
            sheet = self.validation.sheet(self.average, title)
            images.save_image(sheet, self.out / "samples" / f"step-{self.step:09d}.jpg")
            for text in lines(scores):
                _log.info("step %d (%.2f pictures/s): %s", self.step, rate, text)
        sampler = self.pictures.sampler
        if isinstance(sampler, AdaptiveMaskSampler):
            sampler.adapt(errors(scores))

    def _require_finite(self, terms: Terms, batches: Sequence[Batch]) -> None:
        bad = [name for name, value in terms.items() if not bool(torch.isfinite(value))]
        if not distributed.any_process(bool(bad)):
            return
        record = {
            "step": self.step,
            "terms": {name: float(value) for name, value in terms.items()},
            "positions": [position for batch in batches for position in batch.positions],
            "pictures": [key for batch in batches for key in batch.keys],
            "classes": [name or "random" for batch in batches for name in batch.classes],
        }
        path = self.out / f"diverged-{distributed.rank()}.json"
        path.write_text(json.dumps(record, indent=1), encoding="utf-8")
        raise DivergedError(
            f"step {self.step}: {', '.join(bad) or 'a loss of another process'} is not a finite "
            f"number; {path} names the batch, and the checkpoint before it stays"
        )

    def _share_buffers(self) -> None:
        """Give all processes one running mean; each has seen other pictures."""
        floats = [b for b in self.players.generator.buffers() if b.is_floating_point()]
        distributed.average(floats)

    def _save(self) -> None:
        if self.journal is None:
            return
        sampler = self.pictures.sampler
        adapted = sampler.state_dict() if isinstance(sampler, AdaptiveMaskSampler) else {}
        state.save(
            self.out / "checkpoints",
            self.step,
            {
                "recipe": self.recipe.to_yaml(),
                "players": self.players.state_dict(),
                "average": self.average.state_dict(),
                "optimisers": {name: o.state_dict() for name, o in self.optimisers.items()},
                "sampler": adapted,
                "journal": self.journal.state_dict(),
                "seconds": self.seconds,
                "portraits": digest(self.pictures.faces),
            },
        )

    def _resume(self, saved: Mapping[str, Any] | None) -> TrainingLog | None:
        """Take up a checkpoint; answers the log of the process that leads."""
        if saved is not None:
            try:
                self._load(saved)
            except (RuntimeError, LookupError, TypeError, ValueError) as error:
                raise CheckpointError(
                    f"{self.out}: its checkpoint does not fit the network of this version of the "
                    f"library; choose another folder ({str(error)[:300]})"
                ) from error
        if not self._leads:
            return None
        return TrainingLog(self.out, self.step, saved["journal"] if saved is not None else None)

    def _load(self, saved: Mapping[str, Any]) -> None:
        self.players.load_state_dict(saved["players"])
        self.average.load_state_dict(saved["average"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(saved["optimisers"][name])
        if isinstance(self.pictures.sampler, AdaptiveMaskSampler):
            self.pictures.sampler.load_state_dict(saved["sampler"])
        self.step, self.seconds = saved["step"], saved["seconds"]

    def _export(self) -> Inpainter:
        inpainter = Inpainter(self.average, device=self.device)
        if self._leads:
            inpainter.save_pretrained(self.out / "model")
        return inpainter

    def _bar(self) -> ProgressBar:
        name, minutes, shown = self.recipe.name, self.recipe.minutes, self.progress and self._leads
        if minutes is not None:
            return timed_progress_bar(
                60 * minutes, name, done=min(self.seconds, 60 * minutes), shown=shown
            )
        return progress_bar(
            None, name, total=self.steps, initial=self.step, unit="step", shown=shown
        )

    def _move(self, bar: ProgressBar) -> None:
        """Show where the run is, in steps or in seconds; at its end the bar is full."""
        where: float = self.step
        if self.recipe.minutes is not None:
            where = bar.total if self.step == self.steps else min(self.seconds, bar.total)
        bar.update(where - bar.n)


@contextmanager
def _stop_signals(trainer: Trainer) -> Iterator[None]:
    """Let SIGTERM, and the first interrupt from the keyboard, end the run after its step."""

    def stop(number: int, frame: Any) -> None:
        _log.warning("%s: saving after this step", signal.Signals(number).name)
        trainer.asked_to_stop = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _seed(*numbers: int) -> int:
    """A seed that follows from the run's own, a position or step, a phase, and so on."""
    mixed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return int(mixed[0] >> np.uint64(1))
