"""Who is still recognised when a component is hidden: writes docs/identity_portraits.md.

Run with ``python examples/benchmarks/identity.py --data portraits --page identity_portraits.md``;
it needs the extra ``identity``. ``portraits`` holds ``images``, ``labels`` and
the list of held-out stems ``test.txt``. A run that was stopped goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np
from scipy.spatial.distance import pdist

from facemask_inpaint import benchmark, data
from facemask_inpaint.benchmark import Run, Score
from facemask_inpaint.benchmark.report.text_tables import MISSING, Cell, Table
from facemask_inpaint.metrics import FACE_NETWORKS, FeatureReader
from facemask_inpaint.metrics.pair_means import share_interval
from facemask_inpaint.metrics.table import IDENTITY_METRICS, LANDMARK_METRICS

RESOLUTION = 256
COMPONENTS = ("eyes", "eyebrows", "nose", "mouth", "jaw")

HEAD = """# Who is still recognised: {count} held-out portraits

Each mask class is filled by each method, and dlib's recogniser compares the filled image with the
original. This page is written by `examples/benchmarks/identity.py`;
[Identity and landmarks](identity.md) explains the figures and what they cannot show.

- **Portraits**: {count} held-out official portraits of members of the United States Congress
  (public domain) at {side} pixels: mostly older, mostly men, studio light. They say nothing of
  faces at large.
- **Recogniser**: `dlib`; the same person below a Euclidean distance of {threshold:g}. Of the
  {pairs:,} pairs of *different* people among the originals, {close} ({share:.1%}; {low:.1%} to
  {high:.1%}) lie below it too.
- **Re-identified**: no other of the {count} originals is nearer. By chance that is {chance:.1%}.
- **Landmarks**: `dlib-68`, in distances of the outer eye corners.
- In brackets are 95 % intervals: Wilson's of shares, Student's of means. n counts the portraits
  that show the component. A prediction in which no face is found counts as not recognised, and has
  neither distance nor landmarks; a dash stands where that holds for all.
"""


@click.command()
@click.option("--data", "source", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--limit", default=60, show_default=True, help="Portraits.")
@click.option("--model", "models", multiple=True, default=("harmonic", "lite"), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/identity"))
@click.option("--page", type=click.Path(path_type=Path), help="Write the page here.")
def main(source: Path, limit: int, models: tuple[str, ...], out: Path, page: Path | None) -> None:
    """Fill, compare, and write the page."""
    run = benchmark.run(
        list(models),
        data.open_faces(source, "test")[:limit],
        resolutions=RESOLUTION,
        metrics=["psnr_hole", *IDENTITY_METRICS, *LANDMARK_METRICS],
        compare=False,
        report=False,
        out=out,
    )
    text = head(run) + in_short(run) + "\n\n" + "\n".join(table.markdown() for table in tables(run))
    if page:
        page.write_text(text.replace("\n### ", "\n## "), encoding="utf-8")
    click.echo(text)


def head(run: Run) -> str:
    """What was measured, on whom, and how often different people are taken for one."""
    originals = [run.original(RESOLUTION, key) for key in run.keys]
    embeddings = FeatureReader("dlib").read(originals).values
    apart = pdist(embeddings[embeddings.any(dim=1)].double().numpy())
    threshold = FACE_NETWORKS["dlib"].threshold or 0.0
    close = int((apart < threshold).sum())
    low, high = share_interval(close, len(apart), 0.95) or (np.nan, np.nan)
    return HEAD.format(
        count=len(run.keys),
        side=RESOLUTION,
        threshold=threshold,
        pairs=len(apart),
        close=close,
        share=close / len(apart),
        low=low,
        high=high,
        chance=1 / len(run.keys),
    )


def in_short(run: Run) -> str:
    """Which classes hide most people, whatever fills them, and which hide few."""
    found: dict[str, list[Score]] = {}
    for score in run.scores:
        if score.metric == "recognised":
            found.setdefault(score.mask_class.replace("_", " "), []).append(score)
    few = [name for name, each in found.items() if all((s.low or 0) > 0.5 for s in each)]
    most = [name for name, each in found.items() if all((s.high or 1) < 0.5 for s in each)]
    rest = [name for name in found if name not in few + most]
    return (
        f"- **In short**, for these portraits and this recogniser: whatever fills the hole, most "
        f"people are recognised behind\n  {', '.join(few)}; few behind {', '.join(most)}. "
        f"It depends on the method for {', '.join(rest) or 'no class'}."
    )


def tables(run: Run) -> Iterator[Table]:
    """Identity, then landmarks, per method."""
    scores = {(score.method, score.mask_class, score.metric): score for score in run.scores}
    for method in run.methods:
        rows = []
        for entry in run.classes:
            names = ("identity_distance", "recognised", "reidentified", "faces_found")
            found = [scores.get((method.name, entry.name, name)) for name in names]
            rows.append(_row(entry.name, found, (_number, _share, _share, _share)))
        header = ("class", "n", "distance", "recognised", "re-identified", "face found")
        yield Table(f"Identity: {method.name}", header, tuple(rows))
    for method in run.methods:
        rows = []
        for entry in run.classes:
            names = ("landmark_error", *(f"landmark_error_{part}" for part in COMPONENTS))
            found = [scores.get((method.name, entry.name, name)) for name in names]
            rows.append(_row(entry.name, found, (_number,) * len(found)))
        header = ("class", "n", "all points", *COMPONENTS)
        yield Table(f"Landmark error: {method.name}", header, tuple(rows))


def _row(name: str, scores: Sequence[Score | None], shown: Sequence[object]) -> tuple[Cell, ...]:
    count = max((score.n for score in scores if score), default=0)
    cells = [function(score) if score else MISSING for function, score in zip(shown, scores)]
    return tuple(map(Cell, (name.replace("_", " "), str(count), *cells)))


def _share(score: Score) -> str:
    return f"{score.value:.0%} ({score.low:.0%} to {score.high:.0%})"


def _number(score: Score) -> str:
    if score.low is None:
        return f"{score.value:.3f}"
    return f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})"


if __name__ == "__main__":
    main()
