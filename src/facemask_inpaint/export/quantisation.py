"""Exported networks in 8 bits: smaller files, and on some processors faster ones."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facemask_inpaint._internal.files import atomic_path, sha256_of
from facemask_inpaint.errors import OptionError
from facemask_inpaint.export._extra import require
from facemask_inpaint.export.folders import CONFIG_NAME, NETWORK_NAME, ExportConfig

Example = tuple[np.ndarray, np.ndarray]
"""Image ``(N, 3, H, W)`` in [-1, 1] and mask ``(N, 1, H, W)``, float32, as the graph takes them."""


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
        calibration: images and masks like those to come; some dozens are enough.

    Returns:
        ``out``; it has no graph of the pipeline.

    Raises:
        OptionError: the export is not in float32, or ``out`` is the same folder.
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
            _quantise_static(Path(folder) / NETWORK_NAME, result, calibration)
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


def _quantise_static(source: Path, target: Path, calibration: Iterable[Example]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Examples(CalibrationDataReader):  # type: ignore[misc]
        """Hands the examples out one by one, and ``None`` behind the last."""

        def __init__(self) -> None:
            self._feeds = _feeds(calibration)

        def get_next(self) -> dict[str, NDArray[np.generic]] | None:
            return next(self._feeds, None)

    quantize_static(
        source,
        target,
        Examples(),
        op_types_to_quantize=["Conv"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def _feeds(calibration: Iterable[Example]) -> Iterator[dict[str, NDArray[np.generic]]]:
    for image, mask in calibration:
        yield {"image": image, "mask": mask}
