"""Why the numbers of several runs do not belong into one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from facemask_inpaint.benchmark.protocols.records import keys_digest
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.settings import extractor_of, protocol_label


def incomparable(runs: Sequence[Run], metric: str) -> Iterator[str]:
    """Yield in words what keeps scores of several runs from being compared.

    Args:
        runs: the runs; one alone compares with itself.
        metric: name of the scores.
    """
    parts: dict[str, Callable[[Run], str]] = {
        "protocols": _protocol,
        "portraits": lambda run: f"{len(run.keys):,} of {run.dataset}",
        "keys of portraits": lambda run: keys_digest(run.keys)[:12],
        "masks": lambda run: str(dict(run.settings["masker"])),
        "features": lambda run: str(extractor_of(metric, run.settings["extractors"])),
    }
    for what, describe in parts.items():
        said = dict.fromkeys(map(describe, runs))
        if len(said) > 1:
            yield f"Not comparable: the runs have different {what}: {'; '.join(said)}"


def _protocol(run: Run) -> str:
    if run.protocol is None:
        return "none"
    deviations = run.protocol["deviations"]
    return protocol_label(run.protocol) + (" with deviations" if deviations else "")
