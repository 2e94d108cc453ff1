"""The training loop: steps, validation, checkpoints, and continuing after an interruption."""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Literal

import torch

from facemask_inpaint import images
from facemask_inpaint._internal import distributed
from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint._internal.progress import ProgressBar, progress_bar, timed_progress_bar
from facemask_inpaint.errors import CheckpointError, DivergedError, OptionError
from facemask_inpaint.inpainting.inpainter import Inpainter
from facemask_inpaint.masks import open_vocabulary
from facemask_inpaint.training import state
from facemask_inpaint.training.adversarial import AdversarialPair
from facemask_inpaint.training.dataset import (
    STOP_SIGNALS,
    Batch,
    TrainingImages,
    digest,
    label_meaning,
)
from facemask_inpaint.training.learner import Learner, NotFiniteError
from facemask_inpaint.training.log import TrainingLog
from facemask_inpaint.training.objective import Objective, Terms
from facemask_inpaint.training.recipes import Recipe
from facemask_inpaint.training.state import TrainingState
from facemask_inpaint.training.validation import Validation, hole_errors, score_lines

_log = logging.getLogger(__name__)

End = Literal["complete", "time", "stopped"]
"""Why a run is over: all steps are done, its minutes are up, or it was asked to stop."""


class Trainer:
    """One run in one folder.

    Everything random is a pure function of the recipe's seed and the position of an image in the
    run. On the CPU a run that was interrupted and resumed is therefore equal, bit for bit, to one
    that was not.

    Args:
        recipe: what to do.
        pair: generator and discriminator.
        objective: the losses.
        dataset: images to train on.
        out: folder of the run.
        device: to train on.
        saved: checkpoint to continue from.
        validation: held-out portraits.
        workers: processes that read images; 0 reads in this one.
        progress: show a progress bar.

    Attributes:
        learner: networks and optimisers, and the number of steps done.
        end: why the run is over; ``None`` while it is not.

    Raises:
        OptionError: The batch cannot be split over the processes and their passes.
        CheckpointError: The checkpoint does not fit the networks.

    Example:
        >>> from facemask_inpaint import training
        >>> inpainter = training.train("lite-smoke", "faces", out="runs/smoke")  # doctest: +SKIP
    """

    def __init__(
        self,
        recipe: Recipe,
        pair: AdversarialPair,
        objective: Objective,
        dataset: TrainingImages,
        out: Path,
        *,
        device: torch.device,
        saved: TrainingState | None = None,
        validation: Validation | None = None,
        workers: int = 0,
        progress: bool = True,
    ) -> None:
        _require_equal_parts(recipe)
        self.recipe, self.dataset, self.validation = recipe, dataset, validation
        self.out, self.device = out, device
        self.workers, self.progress = workers, progress
        self.labels = label_meaning(dataset.faces, open_vocabulary(recipe.masks.vocabulary))
        self.steps = recipe.length(len(dataset.faces))
        self.learner = Learner(recipe, pair, objective, steps=self.steps, device=device)
        self.seconds = 0.0
        self.asked_to_stop = self.stopped = False
        self.end: End | None = None
        if saved is not None:
            self._resume(saved)
        self.log: TrainingLog | None = None
        if distributed.rank() == 0:
            self.log = TrainingLog(out, self.learner.step, saved["log"] if saved else None)

    def run(self) -> Inpainter:
        """Train to the end, or to the limit in minutes, or until asked to stop.

        Returns:
            The averaged network, which is also saved in the folder ``model``.

        Raises:
            DataSetError: Portraits cannot be read; the message lists all of them.
            DivergedError: A loss is not a finite number; ``diverged-0.json`` names the batch, and
                the checkpoint before it stays.
        """
        with _stop_signals(self), self._progress_bar() as bar, closing(self._steps()) as steps:
            for batches in steps:
                started = time.monotonic()
                terms = self._train_step(batches)
                self.seconds += time.monotonic() - started
                self._after_step(terms, bar)
                self._advance(bar)
                if self.stopped:
                    break
            self._advance(bar)
        self._save()
        self.end = self._reason()
        if self.log is not None:
            self.log.close()
        return self._export()

    def _steps(self) -> Generator[list[Batch], None, None]:
        """Yield this process's passes of every step to come.

        Images are read ahead up to the next validation, after which masks may be drawn with other
        probabilities.
        """
        every = self.recipe.validate_every or self.steps
        passes = range(self.recipe.gradient_accumulation)
        while self.learner.step < self.steps and not self._is_over_time():
            first = self.learner.step
            end = min(self.steps, (first // every + 1) * every)
            positions = [each for step in range(first, end) for each in self._positions(step)]
            with closing(self.dataset.batches(positions, self.workers)) as batches:
                for _ in range(first, end):
                    with self.dataset.reading(progress=self.progress):
                        step_batches = [next(batches) for _ in passes]
                    yield [batch.to(self.device) for batch in step_batches]

    def _positions(self, step: int) -> list[list[int]]:
        """Positions of this process's passes of a step."""
        share = self.recipe.batch_size // distributed.world_size()
        size = share // self.recipe.gradient_accumulation
        first = step * self.recipe.batch_size + distributed.rank() * share
        starts = range(first, first + share, size)
        return [list(range(start, start + size)) for start in starts]

    def _train_step(self, batches: Sequence[Batch]) -> Terms:
        try:
            return self.learner.train_step(batches)
        except NotFiniteError as error:
            record = {
                "step": self.learner.step,
                "terms": dict(error.terms),
                "positions": [position for batch in batches for position in batch.positions],
                "images": [key for batch in batches for key in batch.keys],
                "classes": [name or "random" for batch in batches for name in batch.classes],
            }
            path = self.out / f"diverged-{distributed.rank()}.json"
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")
            raise DivergedError(
                f"step {self.learner.step}: {error} is not a finite number; {path} names the "
                "batch, and the checkpoint before it stays"
            ) from error

    def _after_step(self, terms: Terms, bar: ProgressBar) -> None:
        """Do everything that follows a step: log, validation, limits, checkpoint."""
        step, recipe = self.learner.step, self.recipe
        distributed.average(terms.values())
        if self.log is not None:
            means = self.log.record(step, {name: float(value) for name, value in terms.items()})
            if means is not None:
                shown = {name: f"{value:.3g}" for name, value in means.items()}
                bar.set_postfix(shown, refresh=False)
        if recipe.validate_every and (step % recipe.validate_every == 0 or step == self.steps):
            self._validate()
        self.stopped = distributed.any_process(self.asked_to_stop or self._is_over_time())
        if step % recipe.save_every == 0 and not self.stopped:
            self._save()

    def _is_over_time(self) -> bool:
        return self.recipe.minutes is not None and self.seconds >= 60 * self.recipe.minutes

    def _validate(self) -> None:
        """Score the averaged network, draw a sheet, and let the sampler follow the errors."""
        if self.validation is None:
            return
        step, average = self.learner.step, self.learner.average
        scores = self.validation.measure(average)
        if self.log is not None:
            self.log.write(step, {"validation": scores})
            title = f"{self.recipe.name}, step {step}: original, hole, composite"
            sheet = self.validation.sheet(average, title)
            images.save_image(sheet, self.out / "samples" / f"step-{step:09d}.jpg")
            rate = self.recipe.batch_size * step / max(self.seconds, 1e-9)
            for line in score_lines(scores):
                _log.info("step %d (%.2f images/s): %s", step, rate, line)
        self.dataset.sampler.on_validation(hole_errors(scores))

    def _save(self) -> None:
        if self.log is None:
            return
        content: TrainingState = {
            "step": self.learner.step,
            "recipe": self.recipe.to_yaml(),
            "data": digest(self.dataset.faces),
            "labels": self.labels,
            "learner": self.learner.state_dict(),
            "sampler": self.dataset.sampler.state_dict(),
            "log": self.log.state_dict(),
            "seconds": self.seconds,
        }
        state.save(self.out / "checkpoints", content)

    def _resume(self, saved: TrainingState) -> None:
        """Continue from a checkpoint.

        Raises:
            CheckpointError: It is that of other networks.
        """
        try:
            self.learner.load_state_dict(saved["learner"])
            self.dataset.sampler.load_state_dict(saved["sampler"])
            self.seconds = saved["seconds"]
        except (RuntimeError, LookupError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{self.out}: its checkpoint does not fit the network of this version of the "
                f"library; choose another folder ({str(error)[:300]})"
            ) from error

    def _export(self) -> Inpainter:
        inpainter = Inpainter(self.learner.average, device=self.device)
        if distributed.rank() == 0:
            inpainter.save_pretrained(self.out / "model")
        return inpainter

    def _reason(self) -> End:
        """Why the run is over."""
        if self.learner.step >= self.steps:
            return "complete"
        return "stopped" if distributed.any_process(self.asked_to_stop) else "time"

    def _progress_bar(self) -> ProgressBar:
        name, minutes = self.recipe.name, self.recipe.minutes
        shown = self.progress and distributed.rank() == 0
        if minutes is not None:
            done = min(self.seconds, 60 * minutes)
            return timed_progress_bar(60 * minutes, name, done=done, shown=shown)
        return progress_bar(
            None, name, total=self.steps, initial=self.learner.step, unit="step", shown=shown
        )

    def _advance(self, bar: ProgressBar) -> None:
        """Show how far the run is, in steps or in seconds; at its end the bar is full."""
        position: float = self.learner.step
        if self.recipe.minutes is not None:
            complete = self.learner.step == self.steps
            position = bar.total if complete else min(self.seconds, bar.total)
        bar.update(position - bar.n)


def _require_equal_parts(recipe: Recipe) -> None:
    processes, passes = distributed.world_size(), recipe.gradient_accumulation
    if recipe.batch_size % processes or recipe.batch_size // processes % passes:
        raise OptionError(
            f"a batch of {recipe.batch_size} cannot be split over {processes} processes of "
            f"{passes} passes each"
        )


@contextmanager
def _stop_signals(trainer: Trainer) -> Iterator[None]:
    """Let SIGTERM, and the first interrupt from the keyboard, end the run after its step."""

    def stop(number: int, frame: FrameType | None) -> None:
        _log.warning("%s: saving after this step", signal.Signals(number).name)
        trainer.asked_to_stop = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
