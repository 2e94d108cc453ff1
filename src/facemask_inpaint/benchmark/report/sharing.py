"""What others can take up: results as the hub reads them, and BibTeX of the methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from facemask_inpaint import models
from facemask_inpaint.benchmark.metrics import metric_row
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.records import MethodEntry, Score
from facemask_inpaint.benchmark.store.settings import extractor_of, protocol_label
from facemask_inpaint.errors import OptionError


def bibtex(runs: Sequence[Run]) -> str:
    """Return BibTeX of every method of some runs, each paper once.

    Methods without a known paper are named in a comment.

    Args:
        runs: the runs.

    Example:
        >>> from facemask_inpaint.benchmark import Run
        >>> print(bibtex([Run.open("runs/faces-256")]))  # doctest: +SKIP
    """
    entries = [_entry(method) for run in runs for method in run.methods]
    return "\n\n".join(dict.fromkeys(entries)) + "\n"


def _entry(method: MethodEntry) -> str:
    entry = None
    if method.source in models.list_pretrained():
        entry = models.bibtex(models.card(method.source))
    return entry or f"% {method.name} ({method.source}): no paper is recorded"


def eval_results(run: Run, method: str, dataset: str) -> str:
    """Return the scores of a method as a file ``.eval_results/<name>.yaml`` of its hub repository.

    The format is that of https://huggingface.co/docs/hub/eval-results: a list of entries with
    ``dataset.id``, ``dataset.task_id`` and ``value``. What a reader has to know stands in
    ``notes``: n, interval, features, protocol. Diagnostics are left out.

    Example:
        >>> from facemask_inpaint.benchmark import Run
        >>> run = Run.open("runs/faces-256")  # doctest: +SKIP
        >>> print(eval_results(run, "lama", "me/face-inpainting"))  # doctest: +SKIP

    Args:
        run: the run.
        method: name of the method.
        dataset: repository of the benchmark on the hub, ``owner/name``, whose ``eval.yaml`` lists
            the tasks.

    Raises:
        OptionError: the run has no scores of this method, or ``dataset`` is no repository.
    """
    import yaml

    if dataset.count("/") != 1 or not all(dataset.split("/")):
        raise OptionError(f"a benchmark on the hub is owner/name, not {dataset!r}")
    entries = list(_results(run, method, dataset))
    if not entries:
        names = ", ".join(entry.name for entry in run.methods)
        raise OptionError(f"there are no scores of {method!r}: there are {names}")
    text: str = yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=96)
    return text


def _results(run: Run, method: str, dataset: str) -> Iterator[dict[str, object]]:
    for score in run.scores:
        if score.method == method and metric_row(score.metric).ranks:
            task = f"{score.mask_class}_{score.resolution}_{score.metric}"
            if run.protocol:
                task = f"{run.protocol['name']}_{task}"
            yield {
                "dataset": {"id": dataset, "task_id": task},
                "value": score.value,
                "notes": "; ".join(_facts(run, score)),
            }


def _facts(run: Run, score: Score) -> Iterator[str]:
    """Yield what a reader of a score has to know."""
    label = metric_row(score.metric).label
    yield f"{label}, {score.mask_class}, {score.resolution} px, n={score.n}"
    if score.low is not None and score.high is not None:
        yield f"95 % interval {score.low:g} to {score.high:g}"
    if features := extractor_of(score.metric, run.settings["extractors"]):
        yield f"features: {features}"
    if run.protocol:
        yield f"protocol: {protocol_label(run.protocol)}"
        yield from run.protocol["deviations"]
    yield from score.warnings
