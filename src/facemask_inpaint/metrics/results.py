"""What every metric returns: a number that remembers how it came about."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from facemask_inpaint.errors import OptionError


@dataclass(frozen=True)
class MetricResult:
    """One number of one metric.

    ``float(result)`` is the number, ``str(result)`` a line for people, :meth:`to_json` one for
    programs. Results with more to say (per-picture values, both counts) derive from this class.

    Attributes:
        name: the metric's name as in :func:`~.evaluate`, such as ``"fid"`` or ``"psnr_hole"``.
        value: the number, in the metric's own unit.
        n: pictures that entered it (the smaller side when real and fake differ in number).
        warnings: sentences about what a reader of the number has to know.
        provenance: how it was computed: extractor and hash of its weights, front end, counts,
            device, dtype, library version; JSON-like values only.
    """

    name: str
    value: float
    n: int
    warnings: tuple[str, ...] = ()
    provenance: dict[str, object] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name as people write it: ``FID``, ``P-IDS``, ``PSNR (hole)``."""
        return label_of(self.name)

    def __float__(self) -> float:
        return float(self.value)

    def __str__(self) -> str:
        lines = [f"{self.label} {self.value:.6g} (n = {self.n})"]
        return "\n".join(lines + [f"  warning: {text}" for text in self.warnings])

    def to_dict(self) -> dict[str, object]:
        """All fields, made of what JSON knows (arrays become lists, NumPy scalars numbers)."""
        return {name: plain(getattr(self, name)) for name in self.__dataclass_fields__}

    def to_json(self, indent: int | None = None) -> str:
        """:meth:`to_dict` as JSON text; non-finite numbers become ``null``."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)


def label_of(name: str) -> str:
    """A metric's name as people write it."""
    metric = name.removesuffix("_hole")
    label = {"pids": "P-IDS", "uids": "U-IDS"}.get(metric, metric.upper())
    return label if metric == name else f"{label} (hole)"


def finite(name: str, value: float) -> float:
    """``value``, which a score has to be a number for.

    Raises:
        OptionError: it is NaN or infinite.
    """
    if not math.isfinite(value):
        raise OptionError(f"{name} comes out as {value}: the features are too large, or damaged")
    return value


def plain(value: Any) -> Any:
    """``value`` in terms of dict, list, str, int, float, bool and None (NaN and inf are None)."""
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
