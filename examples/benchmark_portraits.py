"""The study's benchmark in small: portraits, twelve classes, a page to look at.

Run with ``python examples/benchmark_portraits.py``; ``--help`` shows what can be chosen. Without
``--model`` the weights of LaMa and MI-GAN are MADE UP (random, the same on every machine), so that
nothing is downloaded: what this shows is the benchmark, not the quality of those models. Features
are those of EfficientNet-Lite0 where the extra ``features`` is installed, else of random
convolutions.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import torch

from facemask_inpaint import Inpainter, benchmark, data, models
from facemask_inpaint.metrics import FeatureReader
from facemask_inpaint.metrics.features.efficientnet import installed
from facemask_inpaint.metrics.table import EFFICIENTNET, RANDOM_CONVOLUTIONS

ROOT = Path(__file__).resolve().parents[1]
SMALL = ROOT / "tests" / "data_portraits"
MADE_UP: dict[str, dict[str, int]] = {"lama": {}, "migan": {"resolution": 256}}


def made_up(architecture: str, folder: Path, seed: int = 0) -> Path:
    """A network with random weights in the form that ``Inpainter.from_pretrained`` opens."""
    target = folder / f"{architecture}-made-up"
    if not target.exists():
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = models.create(architecture, **MADE_UP[architecture])
        Inpainter(network, device="cpu").save_pretrained(target)
    return target


def default_models(folder: Path) -> list[str]:
    """What needs no download."""
    ready = ["harmonic", *(name for name in models.list_pretrained() if name.startswith("lite"))]
    return ready + [str(made_up(architecture, folder)) for architecture in MADE_UP]


def has_desktop() -> bool:
    """Whether a browser could show a page."""
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


@click.command()
@click.option(
    "--data",
    "source",
    type=click.Path(exists=True, path_type=Path),
    default=SMALL,
    help="Data set (default: eight portraits of the tests).",
)
@click.option("--split", help="Part of it, such as test (default: the data set's own).")
@click.option("--model", "chosen", multiple=True, help="Registry name or folder; repeatable.")
@click.option("--classes", default="all", show_default=True)
@click.option("--size", "resolutions", type=int, multiple=True, default=[256], show_default=True)
@click.option("--limit", default=8, show_default=True, help="Portraits.")
@click.option("--out", type=click.Path(path_type=Path), default="runs/portraits", show_default=True)
@click.option("--show/--no-show", default=None, help="Open the page (default: on a desktop).")
def main(
    source: Path,
    split: str | None,
    chosen: tuple[str, ...],
    classes: str,
    resolutions: tuple[int, ...],
    limit: int,
    out: Path,
    show: bool | None,
) -> None:
    """Benchmark networks on portraits, and open the report."""
    run = benchmark.run(
        list(chosen) or default_models(out.parent / "made-up-models"),
        data.open_faces(source, split)[:limit],
        out=out,
        classes=classes,
        resolutions=resolutions,
        reader=FeatureReader(EFFICIENTNET if installed() else RANDOM_CONVOLUTIONS),
        progress=sys.stderr.isatty(),
    )
    for failure in run.failures:
        click.echo(f"failed: {failure}", err=True)
    click.echo((run.layout.tables / "ranking.md").read_text(encoding="utf-8"))
    click.echo(f"tables in {run.layout.tables}, page in {run.layout.report}")
    if has_desktop() if show is None else show:
        click.launch(run.layout.report.resolve().as_uri())


if __name__ == "__main__":
    main()
