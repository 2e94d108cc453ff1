"""The whole benchmark: portraits in, a folder of pictures, scores, tables and a report out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facemask_inpaint import SemanticMasker
from facemask_inpaint._internal.devices import own_device, resolve_dtype
from facemask_inpaint._internal.distributed import Ranks, joined_ranks
from facemask_inpaint._internal.files import DISK_FULL, atomic_path, remove_abandoned
from facemask_inpaint._internal.locks import locked
from facemask_inpaint.benchmark._arguments import (
    checked_dataset,
    checked_folder,
    checked_masker,
    checked_reader,
    checked_sides,
    whole_number,
)
from facemask_inpaint.benchmark._functions import digest_of
from facemask_inpaint.benchmark.measures import (
    DEFAULT_METRICS,
    FEATURE_METRICS,
    MEASURES,
    checked_metrics,
    rounded,
)
from facemask_inpaint.benchmark.methods import Contender, contenders
from facemask_inpaint.benchmark.random_features import STAND_IN
from facemask_inpaint.benchmark.report.tables import write_tables
from facemask_inpaint.benchmark.stages.compare import compare_models
from facemask_inpaint.benchmark.stages.predict import Filling
from facemask_inpaint.benchmark.stages.prepare import Index, Preparation
from facemask_inpaint.benchmark.stages.score import Scoring
from facemask_inpaint.benchmark.store.failures import FaultLog
from facemask_inpaint.benchmark.store.features import FeatureStore
from facemask_inpaint.benchmark.store.journal import Journal, by_age
from facemask_inpaint.benchmark.store.layout import Layout, Run
from facemask_inpaint.benchmark.store.records import PictureRecord, Timing, from_dict, write_records
from facemask_inpaint.benchmark.store.settings import (
    Settings,
    class_entries,
    joined_with_earlier,
    masker_record,
    write_settings,
)
from facemask_inpaint.data.faces import Faces
from facemask_inpaint.errors import (
    FacemaskInpaintError,
    WeightsNotFoundError,
)
from facemask_inpaint.masks.parsers import Parser, resolve_parser
from facemask_inpaint.metrics import FeatureReader

Comparer = Callable[..., dict[int, Any]]
"""Compares the models of a scoring; see :func:`~.comparing.compare_models`."""


def run(
    models: Mapping[str, Any] | Sequence[Any] | Any,
    dataset: Faces | str | Path,
    *,
    out: str | Path,
    classes: str | Iterable[str] = "all",
    sides: int | Sequence[int] = (256,),
    seed: int = 0,
    masker: SemanticMasker | None = None,
    metrics: str | Sequence[str] = DEFAULT_METRICS,
    reader: FeatureReader | None = None,
    parser: str | Parser | None = None,
    batch_size: int = 8,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype = "float32",
    compare: bool = True,
    exchanges: int | None = None,
    report: bool = True,
    progress: bool = True,
) -> Run:
    """Fill every component of every portrait with every model, and measure what comes out.

    What is in ``out`` already is not done again: the same call goes on after a kill, and a call
    with other models, classes or sides adds them. Started by ``torchrun``, ranks share the work.

    Example:
        >>> from facemask_inpaint import benchmark
        >>> run = benchmark.run(  # doctest: +SKIP
        ...     ["harmonic", "lama"], "faces", classes="hair,eyes", out="runs/faces-256"
        ... )

    Args:
        models: registry names, folders of ``save_pretrained``, hub repositories, inpainters,
            functions ``(picture, mask) -> picture`` of PIL, or :class:`~.contenders.Results`; one
            alone, several, or as a mapping or pairs under the names that tables shall show.
        dataset: portraits with label maps, or a folder that ``data.open_faces`` knows.
        out: folder of the run.
        classes: mask classes, as :meth:`SemanticMasker.select` reads them.
        sides: resolutions in pixels, such as ``(256, 512, 1024)``; one alone will do.
        seed: decides every random draw. A picture's own seed depends on this, the class, the side
            and the portrait's key, and on nothing else.
        masker: how masks are cut; default ``SemanticMasker()``.
        metrics: names out of ``measures.MEASURES``; a string is one name, or several between
            commas; diagnostics are always added.
        reader: how pictures become features; default the Inception network.
        parser: labels filled pictures, for the diagnostic ``agreement``: a name of
            ``parsing.list_parsers()``, which takes the portraits for aligned ones, or a function
            from a picture ``(H, W, 3)`` uint8 to its label map. ``None`` leaves it out.
        batch_size: pictures per call of a model.
        device: where models and features are computed; ``None`` is CUDA when there (with ranks,
            each its own), else the CPU.
        dtype: what networks compute in.
        compare: whether pairs of models are compared, with intervals and p-values.
        exchanges: of the tests, see :func:`~facemask_inpaint.metrics.compare`; ``None`` takes
            enough for the number of models.
        report: whether the page for people is made.
        progress: show bars.

    Returns:
        The run as it is on disk. What failed is in its ``faults``.

    Raises:
        OptionError: an argument makes no sense, or the folder holds work under other settings.
        UnknownNameError: no such model, class, metric or parser.
        WeightsNotFoundError: the features' or the parser's network cannot be had; said before
            anything is filled.
        FolderInUseError: another process works in ``out``.
        FacemaskInpaintError: the disk is too full for the results; what is filled is kept.
    """
    batch_size, seed = whole_number("batch_size", batch_size, 1), whole_number("seed", seed)
    if exchanges is not None:
        exchanges = whole_number("exchanges", exchanges, 1)
    metrics = checked_metrics(metrics, parser is not None)
    dtype = str(resolve_dtype(dtype)).removeprefix("torch.")
    masker, reader = checked_masker(masker), checked_reader(reader)
    layout = Layout(checked_folder(out))
    faces = checked_dataset(dataset)
    chosen = contenders(models)
    with joined_ranks() as ranks:
        device = own_device(device)
        features = _features(metrics, reader, device)
        labeller = resolve_parser(parser, align=False, device=device, progress=False)
        wanted = Settings(
            dataset=faces.name,
            keys=tuple(face.key for face in faces),
            seed=seed,
            dtype=dtype,
            masker=masker_record(masker),
            classes=class_entries(masker, classes),
            sides=checked_sides(sides),
            models=tuple(one.entry for one in chosen),
            metrics=metrics,
            extractor=features.network.identity if features else None,
            parser=_parser_name(parser),
        )
        with locked(layout.folder, "benchmark", group=ranks.group):
            settings = joined_with_earlier(wanted, layout)
            if ranks.rank == 0:
                remove_abandoned(layout.folder)
            ranks.barrier()  # all have read the earlier settings
            job = _Job(layout, settings, ranks, FaultLog(layout, ranks.rank), progress)
            index = job.prepare(faces, masker)
            job.fill(chosen, index, batch_size, device, labeller)
            scoring = job.score(index, features)
            if ranks.rank == 0:
                comparer = partial(compare_models, exchanges=exchanges) if compare else None
                job.write_results(scoring, {one.entry.name for one in chosen}, comparer, report)
            ranks.barrier()
    return Run.open(layout.folder)


@dataclass(frozen=True)
class _Job:
    """The stages of a run, on one rank."""

    layout: Layout
    settings: Settings
    ranks: Ranks
    faults: FaultLog
    progress: bool

    @property
    def _shown(self) -> bool:
        return self.progress and self.ranks.rank == 0

    def prepare(self, faces: Faces, masker: SemanticMasker) -> Index:
        """Portraits and masks at every side."""
        preparation = Preparation(self.layout, self.settings, masker, self.ranks, self.faults)
        preparation.require_same_sources(faces)
        self.faults.begin(self.ranks.world_size)
        if self.ranks.rank == 0:
            write_settings(self.settings, self.layout)
        preparation.run(faces, progress=self._shown)
        self.ranks.barrier()
        index = preparation.index()
        if not index.portraits:
            raise FacemaskInpaintError(
                f"not one of the {len(faces)} portraits of {faces.name} can be used; the first: "
                f"{self.faults.everything(self.settings, set())[0]}"
            )
        return index

    def fill(
        self,
        chosen: Sequence[Contender],
        index: Index,
        batch_size: int,
        device: torch.device,
        parser: Parser | None,
    ) -> None:
        """Every hole by every model."""
        filling = Filling(
            self.layout,
            self.settings,
            index,
            self.ranks,
            self.faults,
            batch_size=batch_size,
            device=device,
            parser=parser,
        )
        filling.run(chosen, progress=self._shown)
        self.ranks.barrier()

    def score(self, index: Index, features: FeatureReader | None) -> Scoring:
        """Features and what is computed from them."""
        store = None
        if features is not None:
            store = FeatureStore(self.layout.folder, self.layout.work / "features", features)
        scoring = Scoring(self.layout, self.settings, index, self.ranks, self.faults, store)
        scoring.extract(progress=self._shown)
        self.ranks.barrier()
        scoring.score(progress=self._shown)
        self.ranks.barrier()
        return scoring

    def write_results(
        self, scoring: Scoring, tried: set[str], comparer: Comparer | None, report: bool
    ) -> None:
        """Everything that people and programs read."""
        try:
            self._write_numbers(scoring, comparer)
            self._write_faults(tried)
            write_tables(Run.open(self.layout.folder))
            if report and not self._write_report():
                self._write_faults(tried)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            raise FacemaskInpaintError(
                f"{self.layout.folder}: the results cannot be written ({error.strerror}); what was "
                "filled and measured is kept: free some space and run the same command again"
            ) from error

    def _write_numbers(self, scoring: Scoring, comparer: Comparer | None) -> None:
        records = _records(self.layout, self.settings)
        write_records(self.layout.pictures, records)
        write_records(self.layout.timings, _timings(self.layout, self.settings))
        write_records(self.layout.scores, scoring.collect(records))
        found = {}
        if comparer and scoring.store is not None:
            found = comparer(scoring, progress=self._shown)
        with atomic_path(self.layout.comparison) as path:
            path.write_text(json.dumps(found, allow_nan=False) + "\n", encoding="utf-8")

    def _write_faults(self, tried: set[str]) -> None:
        write_records(self.layout.faults, self.faults.everything(self.settings, tried))

    def _write_report(self) -> bool:
        """Whether the page could be made; a page that fails costs no numbers."""
        from facemask_inpaint.benchmark.report import write_report

        try:
            write_report(Run.open(self.layout.folder))
        except (FacemaskInpaintError, OSError) as error:
            self.faults.add("report", error)
            return False
        return True


def _features(
    metrics: Sequence[str], reader: FeatureReader | None, device: torch.device
) -> FeatureReader | None:
    """The reader with its network at hand, before hours are spent; none where none is needed.

    Raises:
        WeightsNotFoundError: the weights cannot be had; the message says what works without.
    """
    wanted = [name for name in metrics if name in FEATURE_METRICS]
    if not wanted:
        return None
    reader = reader or FeatureReader(device=device)
    try:
        network = reader.network
    except WeightsNotFoundError as error:
        labels = ", ".join(MEASURES[name].label for name in wanted)
        raise WeightsNotFoundError(
            f"{labels} cannot be computed, and nothing was started: {error}\n"
            "Without these weights there are: metrics psnr_hole,ssim_hole,l1_hole, which need "
            f"none; an extractor of your own; or {STAND_IN}, a stand-in for rehearsals"
        ) from error
    return replace(reader, extractor=network, device=None)


_TIMED = ("model", "side", "device", "seconds", "mebibytes", "n", "first")


def _parser_name(parser: str | Parser | None) -> str | None:
    if parser is None or isinstance(parser, str):
        return parser
    name = getattr(parser, "__name__", type(parser).__name__)
    return f"{name} {(digest_of(parser) or '')[:12]}".strip()


def _records(layout: Layout, settings: Settings) -> list[PictureRecord]:
    """Measures of all pictures that are there, by model, side, class and key."""
    models = {entry.name: row for row, entry in enumerate(settings.models)}
    classes = {entry.name: row for row, entry in enumerate(settings.classes)}
    keys = {key: row for row, key in enumerate(settings.keys)}
    found: dict[tuple[int, int, int, int], PictureRecord] = {}
    names = [one.name for one in fields(PictureRecord)]
    for line in by_age(Journal(layout.work, "pictures", 0).read(*names)):
        one = from_dict(PictureRecord, {name: line[name] for name in names})
        if layout.filled(one.side, one.model, one.mask_class, one.key).exists():
            where = (models[one.model], one.side, classes[one.mask_class], keys[one.key])
            found[where] = one
    return [found[where] for where in sorted(found)]


def _timings(layout: Layout, settings: Settings) -> list[Timing]:
    """Seconds and memory by model, side and device; a process's first batch only warms up."""
    lines: dict[tuple[str, int, str], list[dict[str, Any]]] = defaultdict(list)
    for line in Journal(layout.work, "timings", 0).read(*_TIMED):
        lines[line["model"], line["side"], line["device"]].append(line)
    order = {entry.name: row for row, entry in enumerate(settings.models)}
    found = []
    for where in sorted(lines, key=lambda at: (order[at[0]], *at[1:])):
        each = [line for line in lines[where] if not line["first"]] or lines[where]
        seconds = rounded(float(np.median([line["seconds"] for line in each])))
        peaks = [line["mebibytes"] for line in each if line["mebibytes"] is not None]
        peak = rounded(max(peaks)) if peaks else None
        found.append(Timing(*where, seconds, peak, sum(line["n"] for line in each)))
    return found
