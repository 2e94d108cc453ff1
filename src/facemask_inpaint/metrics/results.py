"""What every metric returns: a number that remembers how it was computed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field

import numpy as np
import torch

from facemask_inpaint._internal.types import JSON
from facemask_inpaint.errors import OptionError, UnknownNameError
from facemask_inpaint.metrics.metric import Metric
from facemask_inpaint.metrics.table import find_metric


@dataclass(frozen=True)
class MetricResult:
    """One number of one metric.

    ``float(result)`` is the number, ``str(result)`` a line for people, :meth:`to_json` one for
    programs. Results that hold more (values of each image, both counts) derive from this class.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> result = metrics.kid(np.eye(3), np.ones((3, 3)))
        >>> result.label, result.n
        ('KID', 3)

    Attributes:
        name: the metric's name as in :func:`~.evaluate`, such as ``"fid"`` or ``"psnr_hole"``.
        value: the number, in the metric's own unit.
        n: number of images (of the smaller side when real and fake differ in number); ``None``
            where saved statistics do not say it.
        warnings: sentences about what a reader of the number has to know.
        provenance: how it was computed: extractor and hash of its weights, front end, counts,
            device, dtype, library version; JSON-like values only.
    """

    name: str
    value: float
    n: int | None
    warnings: tuple[str, ...] = ()
    provenance: dict[str, object] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name as in tables: ``FID``, ``P-IDS``, ``PSNR (hole)``."""
        row = self._row
        return row.label if row else self.name

    @property
    def _row(self) -> Metric | None:
        """The metric's row of the table; ``None`` for results under other names."""
        try:
            return find_metric(self.name)
        except UnknownNameError:
            return None

    def __float__(self) -> float:
        return float(self.value)

    def __str__(self) -> str:
        row = self._row
        unit = f" {row.unit}" if row and row.unit else ""
        count = "n unknown" if self.n is None else f"n = {self.n}"
        lines = [f"{self.label} {self.value:.6g}{unit} ({count})"]
        return "\n".join(lines + [f"  warning: {text}" for text in self.warnings])

    def to_dict(self) -> dict[str, JSON]:
        """Return all fields in terms of JSON (arrays become lists, NumPy scalars numbers)."""
        return {name: plain(getattr(self, name)) for name in self.__dataclass_fields__}

    def to_json(self, indent: int | None = None) -> str:
        """Return :meth:`to_dict` as JSON text; non-finite numbers become ``null``.

        Args:
            indent: spaces per level; ``None`` writes one line.
        """
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)


def finite(name: str, value: float) -> float:
    """Return a score that has to be a finite number.

    Args:
        name: of the metric, for the message.
        value: the score.

    Raises:
        OptionError: it is NaN or infinite.
    """
    if not math.isfinite(value):
        raise OptionError(f"{name} comes out as {value}: the features are too large, or damaged")
    return value


def plain(value: object) -> JSON:
    """Return a value in terms of JSON.

    Args:
        value: anything; arrays become lists, NaN and infinity ``None``, other objects text.
    """
    if isinstance(value, MetricResult):
        return value.to_dict()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, torch.Tensor):
        return plain(value.detach().cpu().numpy())
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)
