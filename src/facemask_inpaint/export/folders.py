"""The folder form of an exported network: graphs, and a ``config.json`` about them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from facemask_inpaint.errors import CheckpointError

CONFIG_NAME = "config.json"
NETWORK_NAME = "model.onnx"
PIPELINE_NAME = "pipeline.onnx"
STEP_NAME = "step.onnx"

FORMAT = "facemask-inpaint onnx 1"
"""First entry of ``config.json``; the number changes with the meaning of the others."""

_MAX_CONFIG_BYTES = 1 << 20

CONVENTIONS = {
    "network": {
        "image": "(N, 3, H, W) float32 RGB in [-1, 1]; hidden pixels have no influence",
        "mask": "(N, 1, H, W) float32, 1 = hole, 0 = known",
        "prediction": "(N, 3, H, W) float32 in about [-1, 1], not composited",
    },
    "pipeline": {
        "image": "(N, H, W, 3) uint8 RGB of any size",
        "mask": "(N, H, W) uint8, 1 or 255 = hole, 0 = known",
        "composite": "(N, H, W, 3) uint8 RGB; known pixels are those of the image",
    },
    "step": {
        "sample": "(N, C, h, w) float32: the state, and behind it what the network is shown",
        "timestep": "(N,) int64, 0 to 999",
        "prediction": "(N, C', h, w) float32: the noise in the state",
    },
}
"""What the inputs and outputs of each graph hold."""

GRAPHS = {"network": NETWORK_NAME, "pipeline": PIPELINE_NAME, "step": STEP_NAME}
"""File of each graph."""


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What ``config.json`` says about exported graphs.

    Attributes:
        architecture: name of the network.
        card: name of the card that its weights belong to; empty if there is none.
        licence: of the weights, where the card tells.
        framing: how faces lie in the training images: ``celebahq``, ``ffhq`` or ``none``.
        size: height and width that the graph of the network takes; ``None`` if they are free.
        native_resolution: side that the weights were trained at.
        size_multiple: height and width must be multiples of this.
        smallest_size: height and width must be at least this.
        strategy: how images of other sizes meet the network: ``pad`` or ``resize``.
        latents: named random draws: shape of each for one image. Each is an input that may be
            left out; then it holds the draws of seed 0.
        dtype: what the graph computes in; inputs and outputs are float32.
        opset: version of the ONNX operators.
        weights_sha256: hash of the network's weights in float32.
        options: constructor arguments of the network.
        sha256: hash of each graph, by file name.
        largest_difference: between the graphs and PyTorch when they were checked: ``network``
            and ``step`` in units of the prediction, ``pipeline`` in levels of 255.
        step: shape of each input of a diffusion network's step, for one image.
        alphas_cumprod: share of the clean image's variance at each of its timesteps.

    Example:
        >>> from facemask_inpaint.export import ExportConfig
        >>> config = ExportConfig.from_folder("exported/lite")  # doctest: +SKIP
        >>> config.architecture, config.size_multiple  # doctest: +SKIP
        ('lite', 8)
    """

    architecture: str
    card: str = ""
    licence: str = ""
    framing: str = "none"
    size: tuple[int, int] | None
    native_resolution: int | None
    size_multiple: int
    smallest_size: int
    strategy: str
    latents: Mapping[str, tuple[int, ...]]
    dtype: str
    opset: int
    weights_sha256: str
    options: Mapping[str, Any] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)
    largest_difference: Mapping[str, float] = field(default_factory=dict)
    step: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    alphas_cumprod: Sequence[float] = ()

    def to_json(self) -> str:
        """Return the text of ``config.json``."""
        conventions = {
            name: text for name, text in CONVENTIONS.items() if GRAPHS[name] in self.sha256
        }
        values = {"format": FORMAT} | asdict(self) | {"conventions": conventions}
        return json.dumps(values, indent=2) + "\n"

    @classmethod
    def read(cls, folder: str | Path) -> ExportConfig:
        """Read the ``config.json`` of an exported folder.

        Raises:
            CheckpointError: it is missing, damaged, or of another form.
        """
        path = Path(folder) / CONFIG_NAME
        try:
            if path.stat().st_size > _MAX_CONFIG_BYTES:
                raise CheckpointError(f"{path}: absurdly large for a config")
            values = json.loads(path.read_text(encoding="utf-8"))
            if values.pop("format") != FORMAT:
                raise CheckpointError(f"{path} is not of the form {FORMAT!r}; export it again")
            values.pop("conventions", None)
            values["size"] = None if values["size"] is None else tuple(values["size"])
            for name in ("latents", "step"):
                values[name] = {key: tuple(map(int, shape)) for key, shape in values[name].items()}
            return cls(**values)
        except CheckpointError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CheckpointError(
                f"{path} is no config of an exported network ({type(error).__name__}: {error})"
            ) from error


def is_exported(path: str | Path) -> bool:
    """Return whether a path is a folder with an exported network.

    Example:
        >>> is_exported("no such folder")
        False
    """
    return all((Path(path) / name).is_file() for name in (CONFIG_NAME, NETWORK_NAME))


def files_of(folder: str | Path) -> list[Path]:
    """Return the files that decide what an exported network predicts.

    Example:
        >>> from facemask_inpaint import export
        >>> [path.name for path in export.files_of("exported/lite")]  # doctest: +SKIP
        ['config.json', 'network.onnx']
    """
    return [Path(folder) / name for name in (CONFIG_NAME, NETWORK_NAME)]
