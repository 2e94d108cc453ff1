"""``facemask-inpaint export``: a network as ONNX graphs."""

from __future__ import annotations

from pathlib import Path

import click

from facemask_inpaint.cli import options


@click.command()
@click.argument("name")
@click.option("--out", type=options.new_folder, required=True, help="Folder to write.")
@click.option(
    "--size",
    type=options.at_least_one,
    help="Side of the square the graph takes (default: any size where the network takes any).",
)
@click.option(
    "--pipeline/--no-pipeline",
    default=True,
    show_default=True,
    help="Write pipeline.onnx too, from pixels to pixels. Without it, a diffusion network "
    "gives step.onnx, one denoising step.",
)
@click.option("--dtype", default="float32", show_default=True, help="Or float16.")
def export(name: str, out: Path, size: int | None, pipeline: bool, dtype: str) -> None:
    """Write a network as ONNX graphs, checked against PyTorch before they count as written.

    NAME is a registry name, folder or hub repository. The folder gets model.onnx (the network),
    pipeline.onnx (pixels and a mask in, pixels out) and config.json (how to feed them); it can be
    given as --model wherever a model is asked for.

    \b
    Example:
        facemask-inpaint export lite --out exported/lite
        facemask-inpaint inpaint face.png --mask hole.png --model exported/lite --out out.png
    """
    from facemask_inpaint import Inpainter
    from facemask_inpaint._internal.locks import locked
    from facemask_inpaint.export import ExportConfig

    inpainter = Inpainter.from_pretrained(name, device="cpu")
    with locked(out, "export"):
        folder = inpainter.export(out, size=size, pipeline=pipeline, dtype=dtype)
    config = ExportConfig.read(folder)
    size_text = f"{config.size[0]}x{config.size[1]}" if config.size else "any size"
    apart = ", ".join(f"{name} {value:.2g}" for name, value in config.largest_difference.items())
    click.echo(f"{folder}: {config.architecture}, {size_text}; from PyTorch: {apart}")
