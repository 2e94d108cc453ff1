"""Whether the features of EfficientNet-Lite0 rank methods as eyes do, by mask class.

Run with ``python examples/benchmarks/feature_ranking.py --data portraits``; it needs the extra
``features``. ``portraits`` holds ``images``, ``labels`` and the list of held-out stems
``test.txt``. The predictions of older networks join as ``--predictions NAME=FOLDER``.

The portraits are halved at random, many times over. A method's score is the Fréchet distance
between the originals of one half and its predictions for the *other* half, so that real images can
be scored in the same way: the originals of both halves, which no method should beat. With so few
images the distances are far above their limit; all of a row share halves and count, so that they
compare with one another and with nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemask_inpaint import benchmark, data
from facemask_inpaint.benchmark import PredictionFolder, Run
from facemask_inpaint.benchmark.report.text_tables import Cell, Table
from facemask_inpaint.metrics import FeatureReader, FeatureStatistics, frechet_distance
from facemask_inpaint.metrics.table import EFFICIENTNET

RESOLUTION = 256
REAL = "real half"


class Measured(NamedTuple):
    """Number of portraits, and ``(halvings, methods + 1)`` distances, real images last."""

    n: int
    distances: NDArray[np.float64]


@click.command()
@click.option("--data", "source", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--limit", default=60, show_default=True, help="Portraits.")
@click.option("--model", "models", multiple=True, default=("harmonic", "lite"), show_default=True)
@click.option("--predictions", multiple=True, help="NAME=FOLDER, as of a benchmark; repeatable.")
@click.option("--halves", default=50, show_default=True, help="How often they are halved.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/feature-ranking"))
def main(
    source: Path,
    limit: int,
    models: tuple[str, ...],
    predictions: tuple[str, ...],
    halves: int,
    out: Path,
) -> None:
    """Fill, halve, and print the table."""
    named = [text.partition("=") for text in predictions]
    run = benchmark.run(
        [*models, *((name, PredictionFolder(Path(folder))) for name, _, folder in named)],
        data.open_faces(source, "test")[:limit],
        resolutions=RESOLUTION,
        metrics="psnr_hole",
        compare=False,
        report=False,
        out=out,
    )
    reader = FeatureReader(EFFICIENTNET, progress=False, cache=out / "features")
    measured = {entry.name: measure(run, entry.name, reader, halves) for entry in run.classes}
    click.echo(table([method.name for method in run.methods], measured).markdown())


def table(methods: Sequence[str], measured: Mapping[str, Measured]) -> Table:
    """Means over the halvings, and in how many of them the columns come in descending order."""
    overall = np.mean([each.distances[:, :-1].mean(axis=0) for each in measured.values()], axis=0)
    order = [*np.argsort(-overall).tolist(), len(methods)]
    rows = []
    for name, each in measured.items():
        ranked = each.distances[:, order]
        descending = int((np.diff(ranked, axis=1) < 0).all(axis=1).sum())
        means = [f"{value:.2f}" for value in ranked.mean(axis=0)]
        texts = (name.replace("_", " "), str(each.n), *means, f"{descending} of {len(ranked)}")
        rows.append(tuple(map(Cell, texts)))
    header = ("class", "n", *([*methods, REAL][column] for column in order), "in this order")
    caption = f"Fréchet distance of {EFFICIENTNET} features: not comparable with Inception FID"
    return Table(caption, header, tuple(rows))


def features(run: Run, mask_class: str, reader: FeatureReader) -> tuple[Tensor, dict[str, Tensor]]:
    """Features ``(n, d)`` of the originals that have the component, and by method of the fills."""
    paths = {
        method.name: {
            key: run.prediction(RESOLUTION, method.name, mask_class, key) for key in run.keys
        }
        for method in run.methods
    }
    keys = [key for key in run.keys if all(by_key[key].exists() for by_key in paths.values())]
    real = reader.read([run.original(RESOLUTION, key) for key in keys]).values
    return real, {
        name: reader.read([by_key[key] for key in keys]).values for name, by_key in paths.items()
    }


def measure(run: Run, mask_class: str, reader: FeatureReader, halves: int) -> Measured:
    """Distances of every method's fills, and of real images, over all halvings."""
    real, fakes = features(run, mask_class, reader)
    random = np.random.default_rng(0)
    rows = torch.cat([*fakes.values(), real]).double()
    spanning = torch.linalg.qr(rows.T).Q  # fewer coordinates than features, the same distances
    *sides, real = torch.split(rows @ spanning, len(real))
    sides.append(real)
    return Measured(len(real), np.array([_distances(real, sides, random) for _ in range(halves)]))


def _distances(
    real: Tensor, sides: Sequence[Tensor], random: np.random.Generator
) -> NDArray[np.float64]:
    """Distances of every side's second half from the originals of the first."""
    order = torch.from_numpy(random.permutation(len(real)))
    first, second = order[: len(real) // 2], order[len(real) // 2 :]
    origin = FeatureStatistics.of(real[first])
    return np.array(
        [
            float(frechet_distance(origin, FeatureStatistics.of(side[second]), "n-1"))
            for side in sides
        ]
    )


if __name__ == "__main__":
    main()
