"""Metrics that grow batch by batch: ``update``, ``compute``, ``reset``, as in torchmetrics.

Where torchmetrics is installed, the classes are its metrics: they go into a ``MetricCollection``,
whose members share their features, and PyTorch Lightning logs and resets them. Without it they work
alone, and gather rows from all processes of ``torch.distributed`` themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics.evaluation import feature_scores
from facemask_inpaint.metrics.features.reader import FeatureReader
from facemask_inpaint.metrics.features.sets import FeaturePair, FeatureSet, common_identity
from facemask_inpaint.metrics.metric import FeatureMetric
from facemask_inpaint.metrics.results import MetricResult
from facemask_inpaint.metrics.table import find_metric


class _Accumulator:
    """The part of ``torchmetrics.Metric`` that is used here."""

    def __init__(self) -> None:
        self._states: list[str] = []

    def add_state(self, name: str, default: list[Tensor], dist_reduce_fx: str) -> None:
        """Add a list of tensors that :meth:`reset` empties."""
        self._states.append(name)
        setattr(self, name, default)

    def reset(self) -> None:
        """Forget all images."""
        for name in self._states:
            setattr(self, name, [])


if TYPE_CHECKING:
    _Base = _Accumulator
else:
    try:
        from torchmetrics import Metric as _Base
    except (ImportError, RuntimeError):  # RuntimeError: a torchvision that does not fit its torch
        _Base = _Accumulator


class FeatureScore(_Base):
    """Any metric of features, batch by batch and over all processes.

    Features of both sides are kept until :meth:`reset`: 8 KB per image of Inception's. The n-th
    real and the n-th fake image of a process are a pair, for the metrics that need pairs.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> score = metrics.FeatureScore("coverage")
        >>> for batch in np.random.default_rng(0).normal(size=(4, 25, 8)):
        ...     score.update(batch, real=True)
        ...     score.update(batch + 0.1, real=False)
        >>> float(score.compute())
        1.0

    Args:
        metric: a name of the table, such as ``"cmmd"``, or ``"kid@clean"`` for the features of one
            extractor.
        reader: how images become features; give several metrics the same one. ``None`` takes the
            extractor that the metric is meant for.

    Raises:
        UnknownNameError: there is no such metric.
        OptionError: it is a metric of images, not of features.
    """

    is_differentiable: ClassVar[bool] = False
    full_state_update: ClassVar[bool] = False
    real: list[Tensor]
    fake: list[Tensor]

    def __init__(self, metric: str, *, reader: FeatureReader | None = None) -> None:
        super().__init__()
        row = find_metric(metric)
        if not isinstance(row, FeatureMetric):
            raise OptionError(f"{metric} is computed from pairs of images, not from features")
        extractor = row.extractor or metric.partition("@")[2] or None
        self._row = row
        self._reader = reader or FeatureReader(extractor, progress=False)
        self._identity: str | None = None
        self.result: MetricResult | None = None
        self.add_state("real", [], dist_reduce_fx="cat")
        self.add_state("fake", [], dist_reduce_fx="cat")

    def update(self, images: Tensor | np.ndarray, real: bool) -> None:
        """Add images of one side.

        Args:
            images: ``(N, 3, H, W)`` uint8, or features ``(N, d)`` floats.
            real: whether they are real.

        Raises:
            ImageError: images of another dtype.
            OptionError: features of another width than those before.
        """
        features = self._reader.read(images)
        width, known = features.values.shape[1], [*self.real[:1], *self.fake[:1]]
        if known and known[0].shape[-1] != width:
            raise OptionError(
                f"features of width {width} among features of width {known[0].shape[-1]}: give "
                "all batches as images, or as features of one extractor"
            )
        self._identity = common_identity(self._identity if known else None, features.identity)
        (self.real if real else self.fake).append(features.values)

    def compute(self) -> Tensor:
        """Return the metric of all images so far, a float64 scalar.

        The result with its warnings and provenance is then in ``result``.

        Raises:
            OptionError: a side has no images, or too few for this metric; or it needs pairs, and
                there are more images on one side.
        """
        pair = FeaturePair(self._side("real"), self._side("fake"))
        scores = feature_scores(pair, [self._row])
        if self._row.name not in scores:
            raise OptionError(self._row.why_undefined(pair))
        self.result = scores[self._row.name]
        return torch.tensor(self.result.value, dtype=torch.float64)

    def _side(self, name: str) -> FeatureSet:
        rows = self._everyones(getattr(self, name))
        if not len(rows):
            raise OptionError(f"there are no {name} images yet: call update(images, real=...)")
        features = FeatureSet.from_array(rows)
        return FeatureSet(features.values, features.names, features.keys, identity=self._identity)

    def _everyones(self, rows: list[Tensor] | Tensor) -> Tensor:
        """Rows of all processes; torchmetrics has gathered them to one tensor already."""
        own = rows if isinstance(rows, Tensor) else torch.cat(rows) if rows else torch.empty(0, 0)
        alone = not (dist.is_available() and dist.is_initialized())
        if alone or not isinstance(self, _Accumulator):
            return own
        parts: list[Tensor] = [own] * dist.get_world_size()
        dist.all_gather_object(parts, own.cpu())
        return torch.cat([part for part in parts if len(part)] or [own]).to(own.device)


class FrechetInceptionDistance(FeatureScore):
    """FID, batch by batch; see :func:`fid` and :class:`FeatureScore`.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> score = metrics.FrechetInceptionDistance()
        >>> score.update(np.eye(5), real=True)
        >>> score.update(np.eye(5), real=False)
        >>> round(float(score.compute()), 6)
        0.0

    Args:
        reader: how images become features; ``None`` is ``FeatureReader()``.
    """

    higher_is_better: ClassVar[bool] = False

    def __init__(self, *, reader: FeatureReader | None = None) -> None:
        super().__init__("fid", reader=reader)


class KernelInceptionDistance(FeatureScore):
    """KID, batch by batch; see :func:`kid` and :class:`FeatureScore`.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> score = metrics.KernelInceptionDistance()
        >>> score.update(np.eye(3), real=True)
        >>> score.update(np.ones((3, 3)), real=False)
        >>> float(score.compute()) == float(metrics.kid(np.eye(3), np.ones((3, 3))))
        True

    Args:
        reader: how images become features; ``None`` is ``FeatureReader()``.
    """

    higher_is_better: ClassVar[bool] = False

    def __init__(self, *, reader: FeatureReader | None = None) -> None:
        super().__init__("kid", reader=reader)


class PairedInceptionDiscriminativeScore(FeatureScore):
    """P-IDS, batch by batch; see :func:`pids` and :class:`FeatureScore`.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> score = metrics.PairedInceptionDiscriminativeScore()
        >>> for batch in np.random.default_rng(0).normal(size=(10, 2, 20, 4)):
        ...     score.update(batch[0], real=True)
        ...     score.update(batch[1], real=False)
        >>> 0.3 < float(score.compute()) < 0.7
        True

    Args:
        reader: how images become features; ``None`` is ``FeatureReader()``.
    """

    higher_is_better: ClassVar[bool] = True

    def __init__(self, *, reader: FeatureReader | None = None) -> None:
        super().__init__("pids", reader=reader)


class UnpairedInceptionDiscriminativeScore(FeatureScore):
    """U-IDS, batch by batch; see :func:`uids` and :class:`FeatureScore`.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> score = metrics.UnpairedInceptionDiscriminativeScore()
        >>> score.update(np.eye(9, 4), real=True)
        >>> score.update(np.eye(9, 4), real=False)
        >>> float(score.compute())
        0.5

    Args:
        reader: how images become features; ``None`` is ``FeatureReader()``.
    """

    higher_is_better: ClassVar[bool] = True

    def __init__(self, *, reader: FeatureReader | None = None) -> None:
        super().__init__("uids", reader=reader)
