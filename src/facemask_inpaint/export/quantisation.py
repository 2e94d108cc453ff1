"""Exported networks in 8 bits: smaller files, and on some processors faster ones."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from facemask_inpaint import images
from facemask_inpaint._internal.files import atomic_path, sha256_of
from facemask_inpaint._internal.types import ImageLike, MaskLike
from facemask_inpaint.errors import OptionError
from facemask_inpaint.export._extra import require
from facemask_inpaint.export.folders import CONFIG_NAME, NETWORK_NAME, ExportConfig

Example: TypeAlias = tuple[ImageLike, MaskLike]
"""An image and its mask, of any type that an ``Inpainter`` takes."""

Feed: TypeAlias = dict[str, NDArray[np.generic]]
"""Inputs of a graph, by name."""


def quantise(
    folder: str | Path, out: str | Path, *, calibration: Iterable[Example] | None = None
) -> Path:
    """Write an exported network with int8 weights, as a folder that ``Inpainter.from_onnx`` opens.

    Without calibration, weights are int8 and activations are quantised while the graph runs
    (dynamic quantisation, of matrix products only: onnxruntime's integer convolutions are slow on
    CPUs). With it, convolutions are quantised too, by the ranges that their inputs had for the
    examples (static quantisation). Whether predictions are still good enough is for a benchmark
    to say: give it both folders.

    Args:
        folder: as ``Inpainter.export`` wrote it, in float32.
        out: folder to write.
        calibration: pairs of an image and a mask like those to come, of any types that an
            ``Inpainter`` takes; some dozens are enough. They are resized to what the graph takes.

    Returns:
        ``out``; it has no graph of the pipeline.

    Raises:
        OptionError: the export is not in float32, ``out`` is the same folder, or there are no
            examples.
        ImageError: an example's image cannot be read.
        MaskError: an example's mask does not fit its image.
        CheckpointError: ``folder`` holds no export.
        MissingDependencyError: the ``onnx`` extra is not installed.

    Example:
        >>> from facemask_inpaint.export import quantise
        >>> quantise("exported/lite", "exported/lite-int8")  # doctest: +SKIP
    """
    require("onnxruntime")
    config = ExportConfig.read(folder)
    if config.dtype != "float32":
        raise OptionError(f"{folder} computes in {config.dtype}; export in float32 to quantise")
    if Path(folder).resolve() == Path(out).resolve():
        raise OptionError(f"{out} is the folder that is quantised; name another one")
    dtype = "int8 (dynamic)" if calibration is None else "int8 (static)"
    with (
        atomic_path(Path(out) / CONFIG_NAME, durable=True) as config_path,
        atomic_path(Path(out) / NETWORK_NAME, durable=True) as graph_path,
        tempfile.TemporaryDirectory() as temporary,
    ):
        result = Path(temporary) / "quantised.onnx"
        if calibration is None:
            _quantise_dynamic(Path(folder) / NETWORK_NAME, result)
        else:
            _quantise_static(Path(folder) / NETWORK_NAME, result, _feeds(calibration, config))
        shutil.copyfile(result, graph_path)
        hashes = {NETWORK_NAME: sha256_of(graph_path)}
        changed = dataclasses.replace(config, dtype=dtype, sha256=hashes, largest_difference={})
        config_path.write_text(changed.to_json(), encoding="utf-8")
    return Path(out)


def _quantise_dynamic(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source, target, op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QInt8
    )


def _quantise_static(source: Path, target: Path, feeds: Iterator[Feed]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Examples(CalibrationDataReader):  # type: ignore[misc]
        """Hands the examples out one by one, and ``None`` behind the last."""

        def get_next(self) -> Feed | None:
            return next(feeds, None)

    quantize_static(
        source,
        target,
        Examples(),
        op_types_to_quantize=["Conv"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def _feeds(calibration: Iterable[Example], config: ExportConfig) -> Iterator[Feed]:
    """The examples as a graph takes them.

    Raises:
        OptionError: There are none.
    """
    number = -1
    for number, (image, mask) in enumerate(calibration):
        rgb = images.decode_image(image, name=f"calibration image {number}").rgb
        height, width = rgb.shape[-2:]
        hole = images.decode_mask(mask, (height, width), name=f"calibration mask {number}")
        size = config.size or _nearest_size(height, width, config)
        yield {
            "image": images.resize(rgb[None].float(), size).clamp(-1, 1).cpu().numpy(),
            "mask": images.resample_hole(hole, size)[None, None].float().cpu().numpy(),
        }
    if number < 0:
        raise OptionError("calibration has no examples; give some dozens of images and masks")


def _nearest_size(height: int, width: int, config: ExportConfig) -> tuple[int, int]:
    """The size near to an image's that a graph of free size takes."""
    step, least = config.size_multiple, config.smallest_size
    high, wide = (max(least, round(side / step) * step) for side in (height, width))
    return high, wide
