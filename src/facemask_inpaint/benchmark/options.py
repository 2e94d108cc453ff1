"""Options of a benchmark: what each means, and its default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import torch

from facemask_inpaint import SemanticMasker
from facemask_inpaint._internal.devices import resolve_dtype
from facemask_inpaint.benchmark._arguments import checked_dataset, whole_number
from facemask_inpaint.benchmark._design import Design
from facemask_inpaint.benchmark._functions import digest_of
from facemask_inpaint.benchmark.methods import Method
from facemask_inpaint.benchmark.metrics import checked_metrics
from facemask_inpaint.benchmark.protocols import Protocol
from facemask_inpaint.benchmark.protocols.leakage import seen_in_training
from facemask_inpaint.benchmark.store.settings import Settings
from facemask_inpaint.data import Faces
from facemask_inpaint.masks.parsers import Parser
from facemask_inpaint.metrics import FeatureReader


class RunOptions(TypedDict, total=False):
    """Options of :func:`~.runner.run`; each that is left out has its default.

    Example:
        >>> from facemask_inpaint.benchmark import RunOptions
        >>> rehearsal: RunOptions = {"classes": "hair,eyes", "resolutions": 64, "compare": False}

    Attributes:
        classes: mask classes, as :meth:`SemanticMasker.select` reads them; default all of them.
        resolutions: sides in pixels from 16 to 8192, such as ``(256, 512, 1024)``; one alone will
            do, and 256 is the default.
        seed: decides every random draw; default 0. An image's own seed depends on this, the class,
            the resolution and the portrait's key, and on nothing else.
        masker: cuts the masks; default ``SemanticMasker()``, for label maps as the data set has.
        protocol: name of one of ``benchmark.protocols.list_protocols()``, or a protocol: decides
            ``classes``, ``resolutions``, ``seed`` and ``masker``, and, where not given, data split,
            ``metrics`` and ``reader``. The run records where it deviates. Default ``None``.
        metrics: names out of the table of metrics, over the hole such as ``"psnr_hole"`` or whole
            such as ``"psnr"``; a string is one name, or several between commas. ``None``, the
            default, takes those marked so in the table. Diagnostics are always added.
        reader: how images become features; default the Inception network, or EfficientNet-Lite0
            where its weights cannot be had and the extra ``features`` is installed. Several
            readers, as a mapping from names, compute each metric of features by each of them
            (``fid@name``).
        parser: labels predictions, for the diagnostic ``agreement``: a name of
            ``parsing.list_parsers()``, which takes the portraits for aligned ones, or a function
            from an image ``(H, W, 3)`` uint8 to its label map. ``None``, the default, leaves the
            diagnostic out.
        batch_size: images per call of a method; default 8.
        device: where methods and features are computed; ``None``, the default, is CUDA when there
            (with ranks, each its own), else the CPU.
        dtype: floating-point type that networks compute in; default ``"float32"``.
        compare: whether pairs of methods are compared, with intervals and p-values; default True.
        exchanges: of the tests, see :func:`~facemask_inpaint.metrics.compare`; ``None``, the
            default, takes enough for the number of methods.
        report: whether to write the report page; default True.
        progress: whether to show progress bars; default True.
    """

    classes: str | Iterable[str]
    resolutions: int | Iterable[int]
    seed: int
    masker: SemanticMasker | None
    protocol: str | Protocol | None
    metrics: str | Sequence[str] | None
    reader: FeatureReader | Mapping[str, FeatureReader] | None
    parser: str | Parser | None
    batch_size: int
    device: str | torch.device | None
    dtype: str | torch.dtype
    compare: bool
    exchanges: int | None
    report: bool
    progress: bool


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of one run, each with its default; :class:`RunOptions` describes them."""

    classes: str | Iterable[str] = "all"
    resolutions: int | Iterable[int] = (256,)
    seed: int = 0
    masker: SemanticMasker | None = None
    protocol: str | Protocol | None = None
    metrics: str | Sequence[str] | None = None
    reader: FeatureReader | Mapping[str, FeatureReader] | None = None
    parser: str | Parser | None = None
    batch_size: int = 8
    device: str | torch.device | None = None
    dtype: str | torch.dtype = "float32"
    compare: bool = True
    exchanges: int | None = None
    report: bool = True
    progress: bool = True

    def __post_init__(self) -> None:
        whole_number("batch_size", self.batch_size, 1)
        if self.exchanges is not None:
            whole_number("exchanges", self.exchanges, 1)
        resolve_dtype(self.dtype)

    def design(self, dataset: Faces | str | Path) -> Design:
        """Return what the run looks at.

        Args:
            dataset: of the run; its label maps decide which mask classes there are.

        Raises:
            OptionError: an option makes no sense, or the protocol decides it.
            UnknownNameError: there is no such class or protocol.
        """
        faces = checked_dataset(dataset) if self.protocol is None else None
        return Design.of(
            self.protocol, self.classes, self.resolutions, self.seed, self.masker, faces
        )

    def completed_by(self, protocol: Protocol | None) -> Options:
        """Return these options with a protocol's metrics and extractors where none are given."""
        if protocol is None:
            return self
        metrics = protocol.metrics if self.metrics is None else self.metrics
        readers = {name: FeatureReader(name, self.device) for name in protocol.extractors}
        return replace(self, metrics=metrics, reader=self.reader or readers)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The metrics that become scores, each once."""
        return checked_metrics(self.metrics, self.parser is not None)

    def settings(
        self, design: Design, methods: Sequence[Method], faces: Faces, extractors: Mapping[str, str]
    ) -> Settings:
        """Return everything that the results depend on.

        Args:
            design: what the run looks at.
            methods: what it compares.
            faces: its portraits.
            extractors: name to identity of its feature extractors.
        """
        dtype = str(resolve_dtype(self.dtype)).removeprefix("torch.")
        return Settings(
            dataset=faces.name,
            keys=tuple(face.key for face in faces),
            seed=design.seed,
            dtype=dtype,
            masker=design.masks.record(),
            classes=design.classes,
            resolutions=design.resolutions,
            methods=tuple(method.entry for method in methods),
            metrics=self.metric_names,
            extractors=extractors,
            parser=_parser_name(self.parser),
            protocol=design.record(faces, self.metric_names, list(extractors), dtype),
            seen=seen_in_training(faces, design.protocol),
        )


def _parser_name(parser: str | Parser | None) -> str | None:
    if parser is None or isinstance(parser, str):
        return parser
    name = getattr(parser, "__name__", type(parser).__name__)
    return f"{name} {(digest_of(parser) or '')[:12]}".strip()
