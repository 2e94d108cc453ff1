"""Which noise levels a run visits, in which order, and what it costs.

Lugmayr et al., "RePaint: Inpainting using Denoising Diffusion Probabilistic Models", CVPR 2022
(arXiv 2201.09865), section 4.2 and algorithm 1: stretches of the way down are walked several
times, so that the filled part can settle to the known one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

import numpy as np

from facemask_inpaint.errors import OptionError, unknown_name
from facemask_inpaint.models.layers.diffusion import TRAINED_STEPS, alphas_cumprod, linear_betas

CLEAN = -1
"""The level below all others, without noise."""

Solver = Literal["ancestral", "dpm"]


class Move(NamedTuple):
    """One transition between noise levels."""

    before: int
    after: int

    @property
    def denoises(self) -> bool:
        """Whether noise is taken away, by a call to the network; otherwise it is added."""
        return self.after < self.before


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a run goes; the defaults are the official ones for faces.

    Attributes:
        steps: noise levels, spread evenly over the 1000 of the training; at least 2.
        jump_length: levels that one jump climbs back.
        jump_samples: how often the stretch below a jump is walked; 1 never jumps.
        jumps_below: a jump arrives at this level at most; ``None`` allows all.
        solver: how a step is taken. ``"ancestral"`` draws from the model's own distribution, with
            its learned variance. ``"dpm"`` draws nothing (DPM-Solver++ of second order, arXiv
            2211.01095).
        first_guess: level at which to start, from a harmonic filling with noise added; levels
            above are left out (arXiv 2112.05146). ``None`` starts at the highest, from noise
            alone.

    Raises:
        OptionError: a value is outside its range.

    Example:
        >>> Sampling().evaluations, Sampling().with_steps(50).evaluations
        (2410, 482)
    """

    steps: int = 250
    jump_length: int = 10
    jump_samples: int = 10
    jumps_below: int | None = None
    solver: Solver = "ancestral"
    first_guess: int | None = None

    def __post_init__(self) -> None:
        if not 2 <= self.steps <= TRAINED_STEPS:
            raise OptionError(f"steps must be 2 to {TRAINED_STEPS}, not {self.steps}")
        if self.jump_length < 1 or self.jump_samples < 1:
            raise OptionError("jump_length and jump_samples must be at least 1")
        if self.solver not in get_args(Solver):
            raise unknown_name("solver", self.solver, get_args(Solver))
        if self.first_guess is not None and not 0 <= self.first_guess < self.steps:
            raise OptionError(f"first_guess must be 0 to {self.steps - 1}, not {self.first_guess}")

    @property
    def top(self) -> int:
        """Level at which a run starts."""
        return self.steps - 1 if self.first_guess is None else self.first_guess

    @cached_property
    def moves(self) -> tuple[Move, ...]:
        """Every transition of a run, in order."""
        jumps_left = {
            level: self.jump_samples - 1
            for level in range(0, self.top + 1 - self.jump_length, self.jump_length)
            if self.jumps_below is None or level + self.jump_length <= self.jumps_below
        }
        visited, level = [], self.top
        while level > CLEAN:
            visited.append(level)
            if jumps_left.get(level, 0) > 0:
                jumps_left[level] -= 1
                visited += range(level + 1, level + self.jump_length + 1)
                level += self.jump_length
            level -= 1
        return tuple(Move(*pair) for pair in pairwise([*visited, CLEAN]))

    @property
    def evaluations(self) -> int:
        """Calls to the network per image; nothing else costs noticeable time."""
        return sum(move.denoises for move in self.moves)

    @property
    def renoisings(self) -> int:
        """Transitions that add noise."""
        return len(self.moves) - self.evaluations

    @cached_property
    def levels(self) -> Levels:
        """Constants of every noise level."""
        return Levels.spread(self.steps)

    def with_steps(self, steps: int) -> Sampling:
        """Return the same way of sampling with another number of noise levels.

        Jumps are as long, and start and end at the same noise, as far as whole levels allow.

        Args:
            steps: noise levels, 2 to 1000.

        Raises:
            OptionError: ``steps`` is outside its range.
        """
        ratio = (steps - 1) / (self.steps - 1)
        jump, below, guess = (
            None if levels is None else round(levels * ratio)
            for levels in (self.jump_length, self.jumps_below, self.first_guess)
        )
        return replace(
            self, steps=steps, jump_length=max(jump or 1, 1), jumps_below=below, first_guess=guess
        )


@dataclass(frozen=True)
class Levels:
    """Constants of the noise levels 0 (hardly any noise) to ``steps - 1``.

    Attributes:
        timesteps: ``(steps,)`` int64, what the network is given, 0 … 999.
        alphas_cumprod: ``(steps,)`` float64, share of the clean image's variance that is left.
    """

    timesteps: np.ndarray
    alphas_cumprod: np.ndarray

    @classmethod
    def spread(cls, steps: int) -> Levels:
        """Spread ``steps`` levels evenly over those of the training, first and last included."""
        stride = (TRAINED_STEPS - 1) / (steps - 1)
        # Summed up rather than multiplied: which way a half is rounded depends on it.
        timesteps = np.cumsum([0.0, *[stride] * (steps - 1)]).round().astype(np.int64)
        return cls(timesteps, alphas_cumprod(linear_betas())[timesteps])

    def alpha_cumprod(self, level: int) -> float:
        """Return the share of the clean image's variance at a level; all of it at :data:`CLEAN`."""
        return float(self.alphas_cumprod[level]) if level > CLEAN else 1.0

    def beta(self, level: int) -> float:
        """Return the variance that the step from the level below adds."""
        return 1 - self.alpha_cumprod(level) / self.alpha_cumprod(level - 1)

    def log_snr(self, level: int) -> float:
        """Return the logarithm of the ratio of signal to noise; infinite at :data:`CLEAN`."""
        alpha = self.alpha_cumprod(level)
        return math.log(alpha / (1 - alpha)) / 2 if alpha < 1 else math.inf

    def posterior(self, level: int) -> tuple[float, float]:
        """Return the weights of clean image and present state in the mean one level below."""
        alpha, below, beta = self._constants(level)
        of_clean = beta * math.sqrt(below) / (1 - alpha)
        return of_clean, (1 - below) * math.sqrt(1 - beta) / (1 - alpha)

    def log_variances(self, level: int) -> tuple[float, float]:
        """Return the logarithms of least and largest variance of a step down from a level."""
        alpha, below, beta = self._constants(level)
        return math.log(beta * (1 - below) / (1 - alpha)), math.log(beta)

    def _constants(self, level: int) -> tuple[float, float, float]:
        return self.alpha_cumprod(level), self.alpha_cumprod(level - 1), self.beta(level)


PRESETS: Mapping[str, Sampling] = MappingProxyType(
    {
        "official": Sampling(),
        "balanced": Sampling(steps=50, jump_length=1, jump_samples=6),
        "fast": Sampling(steps=30, jump_length=1, jump_samples=4, first_guess=14),
    }
)
"""The published schedule for faces, and two that give up some of its accuracy for speed.

In all three a jump spans 20 to 40 of the 1000 steps of the training.
"""


SamplingLike = str | Mapping[str, object] | Sampling
"""Name of a preset, attributes of a :class:`Sampling`, or one itself."""


def as_sampling(sampling: SamplingLike) -> Sampling:
    """Return a preset by its name, or a :class:`Sampling` by its attributes.

    Raises:
        UnknownNameError: there is no such preset or attribute.
        OptionError: a value is outside its range.
    """
    if isinstance(sampling, Sampling):
        return sampling
    if isinstance(sampling, str):
        if sampling not in PRESETS:
            raise unknown_name("preset", sampling, PRESETS)
        return PRESETS[sampling]
    known = [field.name for field in fields(Sampling)]
    for name in sampling:
        if name not in known:
            raise unknown_name("attribute of a sampling", name, known)
    return Sampling(**sampling)  # type: ignore[arg-type]
