"""Mean and covariance of features: they grow, merge, and travel between processes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics._linear_algebra import gram
from facemask_inpaint.metrics.features._statistics_files import (
    checked_count,
    checked_covariance,
    checked_identity,
    checked_mean,
    read_arrays,
)
from facemask_inpaint.metrics.features.sets import Convention, FeatureSet, common_identity


class _Moments(NamedTuple):
    """Count, mean ``(d,)`` and scatter ``sum (x - mean)(x - mean)^T`` ``(d, d)``, float64."""

    n: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> _Moments:
        mean = rows.mean(dim=0)
        return cls(len(rows), mean, gram(rows - mean))

    def merge(self, other: _Moments) -> _Moments:
        """Chan, Golub & LeVeque (1979), eq. 2.1: no cancellation, whatever the offset."""
        n = self.n + other.n
        step = other.mean - self.mean
        scatter = self.scatter + other.scatter
        scatter.addr_(step, step, alpha=self.n * other.n / n)
        return _Moments(n, self.mean + step * (other.n / n), scatter)


class FeatureStatistics:
    """Count, mean and covariance of a set of features in float64: what FID needs.

    Up to ``d`` rows are kept as they are: they are no larger than the covariance, and FID of few
    images is exact and fast only from rows. Beyond that they are folded into the moments.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint.metrics import FeatureStatistics
        >>> statistics = FeatureStatistics.of(np.eye(4)).update(np.ones((3, 4)))
        >>> statistics.n, statistics.dim
        (7, 4)

    Args:
        identity: of the extractor; adding features of another one is an error.
    """

    def __init__(self, identity: str | None = None) -> None:
        self.identity = identity
        self._moments: _Moments | None = None
        self._rows: list[Tensor] = []
        self._covariance: Tensor | None = None

    @classmethod
    def of(cls, features: FeatureSet | np.ndarray | Tensor) -> FeatureStatistics:
        """Compute the statistics of one set of features.

        Args:
            features: ``(n, d)`` floats.
        """
        rows = features if isinstance(features, FeatureSet) else FeatureSet.from_array(features)
        return cls(rows.identity).update(rows.values)

    @property
    def n(self) -> int | None:
        """Number of rows; ``None`` for statistics of a tool that does not record it."""
        if self._covariance is not None:
            return None
        return sum(map(len, self._rows)) + (self._moments.n if self._moments else 0)

    @property
    def dim(self) -> int:
        """Width of the features; 0 before the first row."""
        if self._moments is not None:
            return len(self._moments.mean)
        return self._rows[0].shape[1] if self._rows else 0

    @property
    def rows(self) -> Tensor | None:
        """All rows ``(n, d)`` float64, or ``None`` when there were more than ``d``."""
        return _joined(self._rows) if self._rows and self._moments is None else None

    @property
    def mean(self) -> Tensor:
        """Mean ``(d,)`` in float64."""
        rows = self.rows
        return self._compact().mean if rows is None else rows.mean(dim=0)

    def covariance(self, convention: Convention = "n-1") -> Tensor:
        """Return the covariance ``(d, d)`` in float64.

        Args:
            convention: its divisor, see :data:`Convention`.

        Raises:
            OptionError: unknown convention, too few rows, or ``"n"`` where n is not known.
        """
        if self._covariance is not None:
            if convention != "n-1":
                raise OptionError("these statistics do not say n: only convention 'n-1' is known")
            return self._covariance
        divisor = self.divisor(convention)
        return self._compact().scatter / divisor

    def divisor(self, convention: Convention) -> int:
        """Return what the scatter is divided by under a convention.

        Args:
            convention: ``"n-1"`` or ``"n"``.

        Raises:
            OptionError: unknown convention, or fewer than two rows.
        """
        if convention not in get_args(Convention):
            raise OptionError(f"convention is 'n-1' or 'n', not {convention!r}")
        n = self.n or 0
        if n < 2:
            raise OptionError(f"a covariance needs at least two images; there are {n}")
        return n - 1 if convention == "n-1" else n

    def update(self, features: Tensor | np.ndarray) -> FeatureStatistics:
        """Add rows, which stay on the device of the first ones.

        Args:
            features: ``(n, d)`` floats.

        Returns:
            The statistics themselves.
        """
        self._require_open()
        values = FeatureSet.from_array(features).values.detach()
        if self.dim and values.shape[1] != self.dim:
            raise OptionError(f"rows of width {values.shape[1]} among rows of width {self.dim}")
        if len(values):
            device = self.device if self.dim else values.device
            self._rows.append(values.to(device, torch.float64))
            if sum(map(len, self._rows)) > self.dim:
                self._moments, self._rows = self._compact(), []
        return self

    def merge(self, other: FeatureStatistics) -> FeatureStatistics:
        """Add the rows of other statistics, as if all had been in one.

        Args:
            other: statistics of the same extractor.

        Returns:
            The statistics themselves.
        """
        self._require_open()
        other._require_open()
        self.identity = common_identity(self.identity, other.identity)
        if other._moments is not None:
            if self.dim not in (0, other.dim):
                raise OptionError(f"widths {self.dim} and {other.dim} do not mix")
            mine = self._compact()
            self._moments = mine.merge(other._moments) if mine.n else other._moments
            self._rows = []
        for rows in other._rows:
            self.update(rows)
        return self

    def all_reduce(self, group: dist.ProcessGroup | None = None) -> FeatureStatistics:
        """Sum over all processes of ``torch.distributed``; each then holds the whole.

        Processes with few or no rows are welcome. The statistics have to lie where the backend
        can reach them (``nccl``: on CUDA; ``gloo``: on the CPU).

        Args:
            group: of processes; ``None`` is all of them.

        Returns:
            The statistics themselves.

        Raises:
            OptionError: processes hold features of different widths or extractors.
        """
        self._require_open()
        mine = (self.n, self.dim, self.identity)
        everyone: list[Any] = [None] * dist.get_world_size(group)
        dist.all_gather_object(everyone, mine, group=group)
        for _, _, identity in everyone:
            self.identity = common_identity(self.identity, identity)
        widths = {width for _, width, _ in everyone if width}
        if len(widths) > 1:
            raise OptionError(f"processes hold features of different widths: {sorted(widths)}")
        total, dim = sum(count for count, _, _ in everyone), max(widths, default=0)
        if total <= dim:
            self._gather_rows(len(everyone), group)
        elif total:
            self._reduce_moments(total, dim, group)
        return self

    @property
    def device(self) -> torch.device:
        """Device that holds the numbers."""
        if self._moments is not None:
            return self._moments.mean.device
        return self._rows[0].device if self._rows else torch.device("cpu")

    def save(self, path: str | Path) -> None:
        """Write as ``.npz``, whole or not at all.

        Args:
            path: ends in ``.npz``.

        Raises:
            OptionError: another suffix, or no features to save.
        """
        path = Path(path)
        if path.suffix != ".npz":
            raise OptionError(f"{path}: statistics are saved as .npz")
        self._require_open()
        if not self.n:
            raise OptionError(f"{path}: there are no features to save")
        content: dict[str, Any] = {"identity": self.identity or "", "n": self.n}
        rows = self.rows
        if rows is not None:
            content["rows"] = rows.cpu().numpy()
        else:
            whole = self._compact()
            content |= {"mean": whole.mean.cpu().numpy(), "scatter": whole.scatter.cpu().numpy()}
        with atomic_path(path) as temporary:
            np.savez(temporary, **content)

    @classmethod
    def load(cls, path: str | Path) -> FeatureStatistics:
        """Read what :meth:`save` wrote, or pytorch-fid's ``mu``/``sigma`` file.

        The latter records neither front end nor count, so a warning says that they are unknown.

        Args:
            path: of the ``.npz``.

        Raises:
            OptionError: the file is damaged or of another kind, or holds what cannot be the
                statistics of features: numbers that are not finite, no covariance.
        """
        content = read_arrays(path)
        identity = content.get("identity", np.array(""))
        statistics = cls(checked_identity(f"{path}: identity", identity))
        if "rows" in content:
            return statistics._with_rows(path, content)
        if {"n", "mean", "scatter"} <= content.keys():
            mean = checked_mean(f"{path}: mean", content["mean"])
            scatter = checked_covariance(f"{path}: scatter", content["scatter"], len(mean))
            statistics._moments = _Moments(checked_count(f"{path}: n", content["n"]), mean, scatter)
            return statistics
        if {"mu", "sigma"} <= content.keys():
            mean = checked_mean(f"{path}: mu", content["mu"])
            covariance = checked_covariance(f"{path}: sigma", content["sigma"], len(mean))
            warnings.warn(f"{path} says neither its front end nor its count", stacklevel=2)
            statistics._moments = _Moments(0, mean, covariance)
            statistics._covariance = covariance
            return statistics
        raise OptionError(f"{path}: not a file of feature statistics (has {sorted(content)})")

    def _with_rows(self, path: str | Path, content: Mapping[str, Any]) -> FeatureStatistics:
        try:
            self.update(content["rows"])
        except OptionError as error:
            raise OptionError(f"{path}: {error}") from None
        count = checked_count(f"{path}: n", content["n"]) if "n" in content else self.n
        if not self.n or self.n != count:
            raise OptionError(f"{path}: {self.n} rows of {count} are there")
        return self

    def _compact(self) -> _Moments:
        """Moments of everything; rows that are not alone are folded in for good."""
        if not self._rows:
            return self._moments if self._moments is not None else self._nothing(0)
        pending = _Moments.of(_joined(self._rows))
        if self._moments is None:
            return pending
        self._moments, self._rows = self._moments.merge(pending), []
        return self._moments

    def _gather_rows(self, world_size: int, group: dist.ProcessGroup | None) -> None:
        parts: list[Any] = [None] * world_size
        dist.all_gather_object(parts, [rows.cpu() for rows in self._rows], group=group)
        device = self.device
        self._rows = [rows.to(device) for part in parts for rows in part]

    def _reduce_moments(self, total: int, dim: int, group: dist.ProcessGroup | None) -> None:
        here = self._compact() if self.n else self._nothing(dim)
        mean = here.mean * (here.n / total)
        dist.all_reduce(mean, group=group)
        step = here.mean - mean
        scatter = here.scatter + torch.outer(step, step) * here.n
        dist.all_reduce(scatter, group=group)
        self._moments, self._rows = _Moments(total, mean, scatter), []

    def _nothing(self, dim: int) -> _Moments:
        scatter = torch.zeros(dim, dim, dtype=torch.float64, device=self.device)
        return _Moments(0, scatter.sum(dim=0), scatter)

    def _require_open(self) -> None:
        if self._covariance is not None:
            raise OptionError("statistics without a count can be compared, but not added to")


def _joined(parts: list[Tensor]) -> Tensor:
    """Like ``torch.cat``, which copies a single part too."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)
