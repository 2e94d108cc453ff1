"""Export a network: trace, check, write."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from facemask_inpaint._internal.files import atomic_path, sha256_of
from facemask_inpaint.errors import ExportError, OptionError
from facemask_inpaint.export._extra import require
from facemask_inpaint.export.folders import (
    CONFIG_NAME,
    GRAPHS,
    NETWORK_NAME,
    PIPELINE_NAME,
    STEP_NAME,
    ExportConfig,
)
from facemask_inpaint.export.framing import Framing
from facemask_inpaint.models._denoising import DenoisingStep
from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.layers.float32 import Float32Module

if TYPE_CHECKING:
    import onnx

    from facemask_inpaint.models import Card

FIXED_SIZE = frozenset({"deepfillv2"})
"""Networks whose graph knows one size although they take any: the exporter writes the number of
patches that contextual attention compares into the graph."""

REFUSED: dict[str, str] = {
    "harmonic": "it solves a system of equations instead of running a network",
    "latentcode": "it draws its codes one after the other, each from those before",
    "latentpaint": "its two passes share features, which the exporter ties to one number of images",
    "pixelhacker": "its attention chooses by their values how many tokens go together",
}
"""Networks that are no single graph, and why."""

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]


def export_network(
    network: InpaintingNetwork,
    folder: str | Path,
    fill: Fill,
    *,
    card: Card | None = None,
    size: int | None = None,
    pipeline: bool = True,
    dtype: str = "float32",
) -> Path:
    """Write a network as ONNX graphs, once they have been compared with it.

    Args:
        network: in float32 on the CPU, in inference mode.
        folder: to write to; it is made if need be.
        fill: what fills an image with this network in Python, to check the pipeline: from
            ``(H, W, 3)`` uint8 and an ``(H, W)`` bool mask to the composite of seed 0.
        card: where the weights come from.
        size: side of the square that the graph takes; ``None`` leaves height and width free where
            the network takes any, and means its own side elsewhere.
        pipeline: whether to write the graph from pixels to pixels too. Of a diffusion network,
            which has none, ``False`` writes one denoising step.
        dtype: ``"float32"`` or ``"float16"``.

    Returns:
        The folder.

    Raises:
        OptionError: the options make no sense for this network, or it cannot be exported.
        ExportError: the graph cannot be made, or differs from the network; nothing was written.
        MissingDependencyError: the ``onnx`` extra is not installed.

    Example:
        >>> inpainter.export("exported/lite")  # calls this function  # doctest: +SKIP
    """
    require_exportable(network, dtype)
    _require_free(Path(folder))
    fixed = _fixed_size(network, size)
    step = _step_of(network, fixed, pipeline)
    names = [STEP_NAME] if step else [NETWORK_NAME, PIPELINE_NAME] if pipeline else [NETWORK_NAME]
    with _only_size(network, fixed), ExitStack() as files:
        config = _describe(network, card, fixed, dtype)
        # The graphs are renamed before the config, without which a folder is no export.
        paths = {
            name: files.enter_context(atomic_path(Path(folder) / name, durable=True))
            for name in (CONFIG_NAME, *names)
        }
        if step is None:
            apart = _write_graphs(network, config, paths, fill)
        else:
            apart = _write_step(network, step, paths[STEP_NAME])
            config = dataclasses.replace(
                config, step=step.inputs, alphas_cumprod=step.alphas_cumprod, latents={}
            )
        hashes = {name: sha256_of(paths[name]) for name in names}
        config = dataclasses.replace(config, sha256=hashes, largest_difference=apart)
        paths[CONFIG_NAME].write_text(config.to_json(), encoding="utf-8")
    for name in set(GRAPHS.values()) - set(names):
        (Path(folder) / name).unlink(missing_ok=True)
    return Path(folder)


def require_exportable(network: InpaintingNetwork, dtype: str = "float32") -> None:
    """Refuse what cannot be exported.

    Raises:
        MissingDependencyError: the ``onnx`` extra is not installed.
        OptionError: with the reason, in one sentence.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        require(package)
    name = network.architecture or type(network).__name__
    if dtype not in ("float32", "float16"):
        raise OptionError(f"a graph computes in float32 or float16, not in {dtype}")
    if name in REFUSED:
        raise OptionError(f"{name} cannot be exported as one graph: {REFUSED[name]}")
    if not network.architecture:
        raise OptionError(
            f"{name} cannot be exported: it is not a network of the registry but a pipeline or a "
            "class of one's own"
        )
    exact = [type(part).__name__ for part in network.modules() if isinstance(part, Float32Module)]
    if dtype == "float16" and exact:
        raise OptionError(
            f"{name} cannot be exported in float16: its {exact[0]} leaves float16's range; "
            "export it in float32"
        )


def _step_of(network: InpaintingNetwork, size: int | None, pipeline: bool) -> DenoisingStep | None:
    """The step to export, at the size that it takes; ``None`` for networks that have none.

    Raises:
        OptionError: a pipeline is asked for.
    """
    side = size or network.native_resolution or 256
    step = network.denoising_step(side, side)
    if step is not None and pipeline:
        raise OptionError(
            f"{network.architecture} cannot be exported as one graph: it runs many steps, with a "
            "draw in each; pipeline=False (--no-pipeline) exports one step"
        )
    return step


def framing_of(network: InpaintingNetwork, config: ExportConfig) -> Framing:
    """Return how the pipeline's graph brings images to a network."""
    if config.strategy == "pad":
        return Framing(None, False, config.size_multiple, config.smallest_size)
    side = config.size[0] if config.size else network.native_resolution
    square = config.size is not None
    return Framing(side, square, config.size_multiple, config.smallest_size)


def _write_graphs(
    network: InpaintingNetwork, config: ExportConfig, paths: dict[str, Path], fill: Fill
) -> dict[str, float]:
    """Write the graphs to temporary paths; return how far each is from PyTorch."""
    from facemask_inpaint.export import assembly, checks, tracing

    sizes = checks.check_sizes(network, config.size)
    with _tracing(config.architecture):
        model = tracing.trace_network(network, sizes[0], dynamic=config.size is None)
    if config.dtype == "float16":
        model = _narrowed(model)
    bare = type(model)()
    bare.CopyFrom(model)
    draws = _default_draws(network, sizes[0])
    assembly.with_default_latents(bare, draws)
    paths[NETWORK_NAME].write_bytes(bare.SerializeToString())
    apart = {"network": checks.check_network(paths[NETWORK_NAME], network, sizes, config.dtype)}
    if PIPELINE_NAME in paths:
        entry, exit_ = _framing_graphs(framing_of(network, config))
        whole = assembly.joined(entry, model, exit_)
        assembly.with_default_latents(whole, draws)
        paths[PIPELINE_NAME].write_bytes(whole.SerializeToString())
        side = config.size[0] if config.size else max(sizes[0])
        apart["pipeline"] = checks.check_pipeline(paths[PIPELINE_NAME], fill, side, config.dtype)
    return apart


def _write_step(network: InpaintingNetwork, step: DenoisingStep, path: Path) -> dict[str, float]:
    """Write the graph of a step to a temporary path; return how far it is from PyTorch."""
    from facemask_inpaint.export import steps

    with _tracing(network.architecture):
        path.write_bytes(steps.trace_step(network, step).SerializeToString())
    return {"step": steps.check_step(path, step)}


@contextmanager
def _tracing(architecture: str) -> Iterator[None]:
    """Say in one sentence what cannot be traced.

    Raises:
        ExportError: something went wrong inside.
    """
    try:
        yield
    except Exception as error:  # the exporter wraps whatever went wrong in types of its own
        reason = str(error.__cause__ or error).strip().splitlines()[0][:200]
        raise ExportError(f"{architecture} cannot be traced to ONNX: {reason}") from error


@lru_cache(maxsize=8)
def _framing_graphs(framing: Framing) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    from facemask_inpaint.export import tracing

    return tracing.trace_entry(framing), tracing.trace_exit(framing)


def _default_draws(network: InpaintingNetwork, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """The draws of seed 0 for one image, as ``Inpainter`` makes them."""
    generators = [torch.Generator().manual_seed(0)]
    drawn = network.draw_latents(1, *size, generator=generators)
    return {name: latent.numpy() for name, latent in drawn.items()}


def _narrowed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in float16, with float32 inputs and outputs."""
    import onnx_ir  # comes with onnxscript
    from onnx.inliner import inline_local_functions
    from onnxruntime.transformers import float16

    # Bounds of a clamp are float16 like what is clamped; IsInf and IsNaN have no float16 kernel.
    left = {*float16.DEFAULT_OP_BLOCK_LIST, "IsInf", "IsNaN"} - {"Min", "Max"}
    narrowed = float16.convert_float_to_float16(
        inline_local_functions(model),  # the conversion does not see what is in functions
        keep_io_types=True,
        op_block_list=sorted(left),
    )
    in_order = onnx_ir.from_proto(narrowed)  # the casts stand behind the nodes that read them
    in_order.graph.sort()
    return onnx_ir.to_proto(in_order)


def _describe(
    network: InpaintingNetwork, card: Card | None, fixed: int | None, dtype: str
) -> ExportConfig:
    from facemask_inpaint.export.tracing import OPSET

    side = fixed or network.native_resolution or network.size_multiple
    latents = network.latent_spec(1, side, side)
    resized = network.preferred_strategy == "resize" or fixed is not None
    return ExportConfig(
        architecture=network.architecture,
        card=card.name if card else "",
        licence=card.licence if card else "",
        framing=card.framing if card else "none",
        size=(fixed, fixed) if fixed else None,
        native_resolution=network.native_resolution,
        size_multiple=network.size_multiple,
        smallest_size=network.smallest_size,
        strategy="resize" if resized else "pad",
        latents={name: shape[1:] for name, shape in latents.items()},
        dtype=dtype,
        opset=OPSET,
        weights_sha256=_hash_of(network),
        options=dict(network.options),
    )


def _hash_of(network: InpaintingNetwork) -> str:
    """SHA-256 of names, shapes and values of the weights in float32."""
    total = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        total.update(f"{key} {tuple(value.shape)}\n".encode())
        total.update(value.detach().float().contiguous().numpy().tobytes())
    return total.hexdigest()


def _fixed_size(network: InpaintingNetwork, size: int | None) -> int | None:
    """Side of the square that the graph takes; ``None`` where height and width are free.

    Raises:
        OptionError: the network does not take this size.
    """
    tied = not network.any_size or network.size_multiple == network.native_resolution
    if size is None:
        return network.native_resolution if tied or network.architecture in FIXED_SIZE else None
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise OptionError(f"size must be a number of pixels or None, not {size!r}")
    network.check_size(size, size)
    return size


@contextmanager
def _only_size(network: InpaintingNetwork, fixed: int | None) -> Iterator[None]:
    """Let a network take the one size that its graph takes, for the time of a block."""
    if fixed is None:
        yield
        return
    only = {"native_resolution": fixed, "larger_resolution": None, "preferred_strategy": "resize"}
    if not isinstance(getattr(type(network), "any_size", None), property):
        only["any_size"] = False  # where it is a property, the network is tied to its size anyway
    before = {name: vars(network).get(name, _ABSENT) for name in only}
    try:
        for name, value in only.items():
            setattr(network, name, value)
        yield
    finally:
        for name, value in before.items():
            if value is _ABSENT:
                delattr(network, name)
            else:
                setattr(network, name, value)


_ABSENT = object()


def _require_free(folder: Path) -> None:
    """Refuse a folder that is something else.

    Raises:
        OptionError: it is a file, or a checkpoint folder whose config would be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder} is a file; an export is a folder")
    if (folder / CONFIG_NAME).exists() and not (folder / NETWORK_NAME).exists():
        raise OptionError(
            f"{folder} holds a {CONFIG_NAME} of something else, which an export would replace; "
            "choose another folder"
        )
