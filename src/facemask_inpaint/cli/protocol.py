"""``facemask-inpaint protocol``: what makes two tables comparable, shown, checked, exported."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facemask_inpaint.cli import options

if TYPE_CHECKING:
    from facemask_inpaint.benchmark import Protocol

_WIDTH = 96


@click.group()
def protocol() -> None:
    """List, show, check and export evaluation protocols.

    A protocol is everything that has to be equal for two tables to be comparable: portraits, masks,
    resolutions, metrics. `benchmark --protocol NAME` follows one.

    \b
    Example:
        facemask-inpaint protocol list
    """


@protocol.command("list")
def list_() -> None:
    """List the protocols that come with the library."""
    from facemask_inpaint.benchmark import protocols

    for name in protocols.list_protocols():
        found = protocols.find_protocol(name)
        click.echo(f"{found.label}\n    {found.title}")


@protocol.command()
@click.argument("name")
@click.option("--yaml", "as_yaml", is_flag=True, help="As a file to edit, for one of your own.")
def show(name: str, as_yaml: bool) -> None:
    """Show a protocol: what it fixes, what of it is published where, and what was decided here.

    NAME is one of the list, or a YAML file of your own.

    \b
    Examples:
        facemask-inpaint protocol show mat-celeba512
        facemask-inpaint protocol show mat-celeba512 --yaml > ours.yaml
    """
    from facemask_inpaint.benchmark import protocols

    found = protocols.find_protocol(name)
    if as_yaml:
        click.echo(protocols.protocol_text(found), nl=False)
        return
    click.echo(f"{found.name}, version {found.version}: {found.title}\nSHA-256 {found.sha256}\n")
    for label, text in _rows(found):
        click.echo(f"{label:<12} {text}")
    parts = (("published", found.published), ("our choice", found.choices))
    for heading, sentences in [part for part in parts if part[1]]:
        click.echo(f"\n{heading}:")
        for sentence in sentences:
            click.echo(
                textwrap.fill(sentence, _WIDTH, initial_indent="  - ", subsequent_indent="    ")
            )


def _rows(found: Protocol) -> list[tuple[str, str]]:
    from facemask_inpaint.benchmark.report.format import spoken

    split = found.split
    masks = ", ".join(
        f"{spoken(name)} {value}" for name, value in found.masks.source().record().items()
    )
    return [
        ("portraits", f"{split.count:,} of {split.data}: {split.part} part of {split.partition}"),
        ("keys", f"SHA-256 {split.keys_sha256}" if split.keys_sha256 else "by that partition"),
        ("masks", masks),
        ("classes", ", ".join(found.masks.classes)),
        ("resolutions", ", ".join(map(str, found.resolutions))),
        ("resize", found.resize),
        ("faces", found.framing),
        ("metrics", ", ".join(found.metrics)),
        ("features", ", ".join(found.extractors)),
        ("seed", f"{found.seed}, computed in {found.dtype}"),
    ]


_keys_option = click.option(
    "--keys", type=options.existing, help="List of the portraits, where the protocol asks for one."
)


@protocol.command("export-masks")
@click.argument("name")
@click.option(
    "--data", "dataset", type=options.existing, required=True, help="Folder of the data set."
)
@_keys_option
@click.option("--limit", type=options.at_least_one, help="Take the first so many portraits only.")
@click.option("--workers", type=options.at_least_one, help="Threads (default: one per processor).")
@click.option("--out", type=options.new_folder, required=True, help="Folder to write.")
def export_masks(
    name: str, dataset: Path, keys: Path | None, limit: int | None, workers: int | None, out: Path
) -> None:
    """Write the masks of a protocol as PNG files, with a manifest of their hashes.

    OUT/<resolution>/<class>/<key>.png, 255 = hole. The hash of the manifest is the same wherever
    the masks are: whatever the machine, the number of threads and the program that wrote the files.

    \b
    Example:
        facemask-inpaint protocol export-masks mat-celeba512 --data CelebAMask-HQ --out masks
    """
    from facemask_inpaint.benchmark import protocols

    options.require_folder(out)
    found = protocols.find_protocol(name)
    faces = found.split.open(dataset, keys)[:limit]
    manifest = protocols.export_masks(found, faces, out, workers=workers)
    if deviation := found.split.deviation(faces):
        click.echo(f"not the protocol's masks: {deviation}", err=True)
    click.echo(f"{len(manifest.masks):,} masks written to {out}\nSHA-256 {manifest.sha256}")


@protocol.command()
@click.argument("name")
@click.argument("folder", type=options.existing, required=False)
def verify(name: str, folder: Path | None) -> None:
    """Check that this machine makes the masks of a protocol, or that FOLDER holds them unchanged.

    \b
    Examples:
        facemask-inpaint protocol verify mat-celeba512
        facemask-inpaint protocol verify mat-celeba512 masks
    """
    from facemask_inpaint.benchmark import protocols
    from facemask_inpaint.benchmark.protocols.export import MaskManifest, probe_digest

    found = protocols.find_protocol(name)
    if folder is None:
        if not found.probe:
            raise click.ClickException(f"{found.label} has no hash of masks to compare with")
        if probe_digest(found) != found.probe:
            raise click.ClickException(
                f"this machine makes other masks than {found.label} says; `export-masks` on "
                "another machine and --predictions keep results comparable"
            )
        click.echo(f"{found.label}: this machine makes the same masks")
        return
    manifest = MaskManifest.read(folder)
    if manifest.protocol != found.label:
        raise click.ClickException(f"{folder} holds masks of {manifest.protocol}")
    options.require_none_failed(protocols.verify_masks(folder))
    click.echo(f"{len(manifest.masks):,} masks as in the manifest\nSHA-256 {manifest.sha256}")
