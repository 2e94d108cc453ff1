"""Sets of features, where they come from, and whether two of them may be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, TypeGuard, TypeVar

import numpy as np
import torch
from torch import Tensor

from facemask_inpaint import __version__
from facemask_inpaint.errors import OptionError
from facemask_inpaint.images import as_tensor, is_dense
from facemask_inpaint.images.folders import listed
from facemask_inpaint.metrics.inputs import LOSSY_SUFFIXES, OpenableImages, Skipped
from facemask_inpaint.metrics.table import EFFICIENTNET, RANDOM_CONVOLUTIONS

LARGEST = 1e30
"""Features beyond this would overflow when they are squared, multiplied and summed."""

Convention = Literal["n-1", "n"]
"""Divisor of the covariance: ``n-1`` (pytorch-fid, torch-fidelity, clean-fid, torchmetrics,
Co-Mod-GAN) or ``n`` (StyleGAN2-ADA, MAT)."""

STAND_INS = {
    EFFICIENTNET: "not comparable with Inception FID, KID, P-IDS or U-IDS",
    RANDOM_CONVOLUTIONS: "a stand-in without training, not comparable with published numbers",
}
"""What is said of the numbers of extractors that take the place of the Inception network."""

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features of a set of images, and where they come from.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint.metrics import FeatureSet
        >>> features = FeatureSet.from_array(np.zeros((5, 16)))
        >>> features.n, features.select([0, 2]).n
        (5, 2)

    Attributes:
        values: ``(n, d)`` float, on the device that made them.
        names: names of the images, row by row.
        keys: file stems that pair rows with another set's; ``None`` for images without file.
        sizes: height and width of each image; empty when nothing is known of the images.
        identity: of the extractor; ``None`` for features that the user brought.
        skipped: images that were left out.

    Raises:
        OptionError: values that are not ``(n, d)`` floats in memory, or hold numbers with which
            nothing can be computed.
    """

    values: Tensor
    names: tuple[str, ...]
    keys: tuple[str | None, ...]
    sizes: tuple[tuple[int, int], ...] = ()
    identity: str | None = None
    skipped: tuple[Skipped, ...] = ()

    def __post_init__(self) -> None:
        values = self.values
        if values.ndim != 2 or not values.is_floating_point() or not is_dense(values):
            raise OptionError(f"features are an (n, d) array of floats, not {_described(values)}")
        if not values.shape[1]:
            raise OptionError("features of width 0: there is nothing to compare")
        if not sensible(values):
            raise OptionError(self._what_is_wrong())

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.values)

    @property
    def device(self) -> torch.device:
        """Device that holds the features."""
        return self.values.device

    def select(self, rows: Sequence[int]) -> FeatureSet:
        """Return the same set with these rows only, in this order.

        Args:
            rows: indices into the set.
        """
        chosen = torch.as_tensor(rows, dtype=torch.long, device=self.values.device)
        return FeatureSet(
            self.values[chosen],
            tuple(self.names[row] for row in rows),
            tuple(self.keys[row] for row in rows),
            tuple(self.sizes[row] for row in rows) if self.sizes else (),
            self.identity,
            self.skipped,
        )

    @classmethod
    def from_array(cls, features: np.ndarray | Tensor) -> FeatureSet:
        """Wrap features that were made elsewhere; rows pair by their order.

        Args:
            features: ``(n, d)`` floats.

        Raises:
            OptionError: not two axes of floats, or numbers among them that are not finite.
        """
        if isinstance(features, np.ndarray):
            if np.ma.isMaskedArray(features):
                raise OptionError("features with masked entries: leave those rows out")
            if features.dtype.kind != "f":
                what = f"{features.shape} {features.dtype}"
                raise OptionError(f"features are an (n, d) array of floats, not {what}")
            features = as_tensor(features)
        if features.is_floating_point() and is_dense(features) and features.itemsize < 2:
            features = features.float()  # of floats of 8 bits there are no extremes
        names = tuple(f"#{row}" for row in range(features.shape[0] if features.ndim else 0))
        features = features.detach() if features.requires_grad else features
        return cls(features, names, (None,) * len(names))

    def _what_is_wrong(self) -> str:
        rows = [name for name, values in zip(self.names, self.values) if not sensible(values)]
        return (
            f"features of {listed(rows)} hold NaN or infinity, or numbers beyond {LARGEST:g}; half "
            "precision may have overflowed"
        )


FeatureSource: TypeAlias = "OpenableImages | FeatureSet"
"""Images, or their features: a feature set or an ``(n, d)`` float array."""


@dataclass(frozen=True, eq=False)
class FeaturePair:
    """Features of both sides, as metrics of features get them.

    Attributes:
        real: features of the real images.
        fake: features of the fake images; row by row of the same image where both sides are
            paired.
        convention: divisor of the covariance in FID.
        null_swaps: number of refits for the null reference of P-IDS and U-IDS.

    Raises:
        OptionError: the sides come from different extractors.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> features = metrics.FeatureSet.from_array(np.eye(4))
        >>> len(metrics.FeaturePair(features, features).real)
        4
    """

    real: FeatureSet
    fake: FeatureSet
    convention: Convention = "n-1"
    null_swaps: int = 0
    _computed: dict[object, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        common_identity(self.real.identity, self.fake.identity)

    def once(self, function: Callable[[FeaturePair], Result]) -> Result:
        """Return the result of a computation that several metrics share.

        Args:
            function: called with this pair the first time only.
        """
        if function not in self._computed:
            self._computed[function] = function(self)
        result: Result = self._computed[function]
        return result


def is_feature_array(source: object) -> TypeGuard[np.ndarray | Tensor]:
    """Say whether a source is an array of features rather than of images: it has two axes."""
    return isinstance(source, (Tensor, np.ndarray)) and source.ndim == 2


def common_identity(first: str | None, second: str | None) -> str | None:
    """Return the extractor that two sets of features share, ``None`` when neither is known.

    Args:
        first: identity of the one set's extractor.
        second: of the other's.

    Raises:
        OptionError: they come from different extractors, front ends, weights or dtypes.
    """
    if first is not None and second is not None and first != second:
        raise OptionError(f"features of different extractors do not mix:\n  {first}\n  {second}")
    return first or second


def require_same_width(first: int, second: int) -> None:
    """Refuse features of two widths.

    Args:
        first: width of the one side.
        second: of the other.

    Raises:
        OptionError: the widths differ.
    """
    if first != second:
        raise OptionError(f"features of widths {first} and {second} cannot be compared")


class Origin(Protocol):
    """What features and statistics know of their making."""

    @property
    def identity(self) -> str | None:
        """Line that names the extractor."""

    @property
    def n(self) -> int | None:
        """Number of images."""

    @property
    def device(self) -> torch.device:
        """Device that holds the numbers."""


def provenance(real: Origin, fake: Origin) -> dict[str, object]:
    """Return how a number of two sides came about: extractor, counts, device, version.

    Args:
        real: the real side.
        fake: the fake side.
    """
    skipped = {
        f"skipped_{label}": [name for name, _ in side.skipped]
        for label, side in (("real", real), ("fake", fake))
        if isinstance(side, FeatureSet)
    }
    return {
        "extractor": common_identity(real.identity, fake.identity),
        "n_real": real.n,
        "n_fake": fake.n,
        **skipped,
        "device": str(real.device),
        "version": __version__,
    }


def input_warnings(real: FeatureSet, fake: FeatureSet) -> tuple[str, ...]:
    """Return what a reader has to know of two sets: images left out, mixed sizes and formats.

    Args:
        real: the real side.
        fake: the fake side.
    """
    warnings = [
        f"{len(side.skipped)} {label} images were left out: "
        + listed([f"{name} ({reason})" for name, reason in side.skipped])
        for label, side in (("real", real), ("fake", fake))
        if side.skipped
    ]
    sizes = {label: Counter(side.sizes) for label, side in (("real", real), ("fake", fake))}
    if len({*sizes["real"], *sizes["fake"]}) > 1:
        warnings.append("images of different sizes: " + "; ".join(map(_size_line, sizes.items())))
    shares = [_lossy_share(side) for side in (real, fake)]
    if None not in shares and shares[0] != shares[1]:
        warnings.append(
            "lossy files (JPEG, WebP) on one side only, or in other shares: compression alone "
            "moves these scores"
        )
    warnings += stand_in_warnings(real.identity or fake.identity)
    if (real.identity is None) != (fake.identity is None):
        warnings.append("one side's features are of unknown origin")
    return tuple(warnings)


def stand_in_warnings(identity: str | None) -> tuple[str, ...]:
    """Return what a reader has to know of features that are not those of published scores.

    Args:
        identity: of the extractor.
    """
    starts = (identity or "").startswith
    return tuple(f"features of {name}: {text}" for name, text in STAND_INS.items() if starts(name))


def sensible(values: Tensor, largest: float = LARGEST) -> bool:
    """Say whether all numbers are finite, and small enough to be computed with.

    Args:
        values: floats of any shape.
        largest: bound of their size.
    """
    # The comparison is false for NaN; the extremes need no mask of the whole array.
    if not values.numel():
        return True
    low, high = (float(end) for end in values.aminmax())
    return low >= -largest and high <= largest


def _described(values: Tensor) -> str:
    where = "" if is_dense(values) else f" ({values.layout} on {values.device})"
    return f"{tuple(values.shape)} {values.dtype}{where}"


def _size_line(side: tuple[str, Counter[tuple[int, int]]]) -> str:
    label, counts = side
    shown = [f"{count} of {h}x{w}" for (h, w), count in counts.most_common()]
    return f"{label}: {listed(shown)}"


def _lossy_share(side: FeatureSet) -> float | None:
    """Share of lossy files; ``None`` when the images did not come from files."""
    if not side.names or None in side.keys:
        return None
    return sum(Path(name).suffix.lower() in LOSSY_SUFFIXES for name in side.names) / len(side)
