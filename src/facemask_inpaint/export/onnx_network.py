"""An exported network, run by onnxruntime: a network like any other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from facemask_inpaint._internal.files import sha256_of
from facemask_inpaint.errors import CheckpointError, ExportError, IntegrityError
from facemask_inpaint.export._extra import require
from facemask_inpaint.export.checks import open_session
from facemask_inpaint.export.folders import NETWORK_NAME, STEP_NAME, ExportConfig, is_exported
from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models._registry import blank


class OnnxNetwork(InpaintingNetwork):
    """A network behind an ONNX graph; it computes on the CPU, and cannot be trained.

    Args:
        folder: as ``Inpainter.export`` wrote it.
        threads: of onnxruntime; 0 leaves it to the runtime.

    Attributes:
        config: what the folder's ``config.json`` says.

    Raises:
        CheckpointError: the folder holds no export, or a damaged one.
        IntegrityError: the graph is not the one that was checked when it was exported.
        MissingDependencyError: the ``onnx`` extra is not installed.

    Example:
        >>> from facemask_inpaint.export import OnnxNetwork
        >>> OnnxNetwork("exported/lite")  # doctest: +SKIP
    """

    def __init__(self, folder: str | Path, *, threads: int = 0) -> None:
        super().__init__()
        require("onnxruntime")
        if (Path(folder) / STEP_NAME).is_file():
            architecture = ExportConfig.read(folder).architecture
            raise CheckpointError(f"{folder} holds one step of {architecture}, no whole network")
        if not is_exported(folder):
            raise CheckpointError(f"{folder} holds no config.json + {NETWORK_NAME}")
        self.config = ExportConfig.read(folder)
        self._path, self._threads = (Path(folder) / NETWORK_NAME).absolute(), threads
        self._open()
        self._set_sizes(self.config)
        self.options = {"graph": self.config.sha256[NETWORK_NAME]}

    def _open(self) -> None:
        _require_whole(self._path, self.config)
        try:
            self._session = open_session(self._path, self._threads)
        except ExportError as error:
            raise CheckpointError(
                f"{self._path} is no graph that onnxruntime can run: {error}"
            ) from None

    def __getstate__(self) -> dict[str, object]:
        """Leave out the session, which no process can hand to another."""
        return {name: value for name, value in vars(self).items() if name != "_session"}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Open the graph again, from the same file."""
        vars(self).update(state)
        self._open()

    def _set_sizes(self, config: ExportConfig) -> None:
        self.any_size = config.size is None
        self.native_resolution = config.native_resolution if config.size is None else config.size[0]
        self.size_multiple, self.smallest_size = config.size_multiple, config.smallest_size
        self.preferred_strategy = "resize" if config.strategy == "resize" else "pad"

    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        """Name the random draws; see :meth:`InpaintingNetwork.latent_spec`."""
        return {name: (n, *shape) for name, shape in self.config.latents.items()}

    def draw(self, name: str, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        """Draw a latent as the exported network does; see :meth:`InpaintingNetwork.draw`."""
        return self._original.draw(name, shape, generator)

    @cached_property
    def _original(self) -> InpaintingNetwork:
        """The exported network without its weights, which knows how its latents are drawn."""
        return blank(self.config.architecture, **self.config.options)

    def fill(self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        """Run the graph; see :meth:`InpaintingNetwork.fill`."""
        feeds = {"image": masked_image, "mask": hole} | dict(latents)
        arrays = {name: value.detach().float().cpu().numpy() for name, value in feeds.items()}
        (prediction,) = self._session.run(None, arrays)
        return torch.from_numpy(prediction).to(masked_image)


def _require_whole(path: Path, config: ExportConfig) -> None:
    expected, actual = config.sha256.get(NETWORK_NAME), sha256_of(path)
    if actual != expected:
        raise IntegrityError(
            f"{path} has SHA-256 {actual}, the config beside it says {expected}; export it again"
        )
