"""From a name, a folder or an official checkpoint file to a network with its weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypedDict, TypeVar, Unpack

from torch import Tensor

from facemask_inpaint import checkpoints, export, models
from facemask_inpaint._internal.identity import content_of, stamp_of
from facemask_inpaint._internal.settings import as_type
from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.checkpoints.folders import CONFIG_NAME, TENSORS_NAME
from facemask_inpaint.errors import (
    CheckpointError,
    OptionError,
    UnknownNameError,
    WeightsNotFoundError,
)
from facemask_inpaint.models import InpaintingNetwork, PipelineNetwork
from facemask_inpaint.models._building import require_size
from facemask_inpaint.models._pipeline_files import (
    fetch_pipeline,
    is_pipeline_folder,
    load_pipeline,
    pipeline_identity,
)
from facemask_inpaint.models._registry import blank, load_exactly, network_class
from facemask_inpaint.models._unwrapping import WHOLE, anchors_of, part_name, roles_of
from facemask_inpaint.models.pipeline import Prompts

Content = TypeVar("Content")

CheckpointPaths = str | Path | Sequence[str | Path] | Mapping[str, str | Path]
"""One checkpoint file; of networks published in parts all files, in the card's order or by role."""

PIPELINE_PREFIX = "diffusers:"
"""Prefix of the name of a hub repository that holds a pipeline of ``diffusers``."""

_CONFIG = {"architecture": str, "options": Mapping[str, object]}
"""The entries that ``config.json`` must have."""


class Loaded(NamedTuple):
    """A network, the card of its weights where that is known, and the card's files by role."""

    network: InpaintingNetwork
    card: models.Card | None
    files: Mapping[str, Path] = MappingProxyType({})


class PipelineOptions(TypedDict, total=False):
    """Options of :class:`~facemask_inpaint.models.PipelineNetwork`, which documents them."""

    prompt: Prompts
    negative_prompt: str
    steps: int | None
    guidance_scale: float | None
    strength: float
    resolution: int | None
    arguments: Mapping[str, object] | None


class Download(NamedTuple):
    """How files are fetched; see ``checkpoints.fetch``."""

    cache_dir: str | Path | None = None
    local_files_only: bool = False
    progress: bool = True


@ordinary_torch()
def load(name: str | Path, *, revision: str | None = None, download: Download) -> Loaded:
    """Load by registry name, folder or hub repository; see ``Inpainter.from_pretrained``."""
    if is_pipeline(name):
        return Loaded(open_pipeline(name, revision, download), None)
    if export.is_exported(name):
        return load_exported(name)
    if (folder := _folder_of(name, revision, download)) is not None:
        return load_folder(folder)
    card = _card_of(name)
    _require_network(card)
    if card.needs_weights and not card.weights_published:
        raise WeightsNotFoundError(f"nobody has published weights for {card.name}: {card.note}")
    if len(card.files) == 1:
        return _fetch(card, card.files[0], download, partial(_loaded, card))
    fetched = [_fetch(card, file, download, _Part) for file in card.files]
    parts = {file.role: part for file, part in zip(card.files, fetched)}
    network = _build(card, {role: part.tensors for role, part in parts.items()}, {})
    return Loaded(network, card, {role: part.path for role, part in parts.items()})


class _Part(NamedTuple):
    """One file of several: its role, its tensors, and where it is."""

    role: str
    tensors: dict[str, Tensor]
    path: Path


def _loaded(card: models.Card, role: str, tensors: dict[str, Tensor], path: Path) -> Loaded:
    return Loaded(_build(card, {role: tensors}, {}), card, {role: path})


def weights_identity(name: str | Path) -> str:
    """Return hex digits that change with the weights or the options behind a model's name.

    Raises:
        UnknownNameError: there is no such model.
        WeightsNotFoundError: a hub repository cannot be reached.
        CheckpointError: the name is that of a file or folder that holds no saved network.
    """
    if is_pipeline(name):
        return pipeline_identity(pipeline_folder(name, None, Download()))
    if export.is_exported(name):
        return content_of(export.files_of(name))
    if (folder := _folder_of(name, None, Download())) is not None:
        return content_of([folder / CONFIG_NAME, folder / TENSORS_NAME])
    return _card_of(name).digest


def weights_stamp(name: str | Path) -> str:
    """Return digits that change with the files of a model's folder; empty for other models."""
    if export.is_exported(name):
        return stamp_of(export.files_of(name))
    if not checkpoints.is_folder(name):
        return ""
    return stamp_of([Path(name, CONFIG_NAME), Path(name, TENSORS_NAME)])


def _folder_of(name: str | Path, revision: str | None, download: Download) -> Path | None:
    """The folder of that name, or of a hub repository; ``None`` for registry names."""
    if checkpoints.is_folder(name):
        return Path(name)
    if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", str(name)) and not Path(name).exists():
        return _hub_folder(str(name), revision, download)
    return None


def _card_of(name: str | Path) -> models.Card:
    try:
        return models.card(str(name))
    except UnknownNameError:
        _require_no_path(Path(name))
        raise


def is_pipeline(name: str | Path) -> bool:
    """Tell whether a name is that of a pipeline: its folder, or ``diffusers:`` and a repository."""
    return str(name).startswith(PIPELINE_PREFIX) or is_pipeline_folder(name)


def open_pipeline(
    name: str | Path, revision: str | None, download: Download, **options: Unpack[PipelineOptions]
) -> PipelineNetwork:
    """Load a pipeline from its folder, or from the hub by ``[diffusers:]owner/name``.

    Raises:
        WeightsNotFoundError: the repository cannot be reached or holds no pipeline.
        CheckpointError: it holds no pipeline that can inpaint.
    """
    return PipelineNetwork(load_pipeline(pipeline_folder(name, revision, download)), **options)


def pipeline_folder(name: str | Path, revision: str | None, download: Download) -> Path:
    """Return the folder of a pipeline, which is fetched from the hub if need be."""
    source = str(name).removeprefix(PIPELINE_PREFIX)
    if is_pipeline_folder(source):
        return Path(source)
    return fetch_pipeline(
        source,
        revision=revision,
        cache_dir=download.cache_dir,
        local_files_only=download.local_files_only,
        progress=download.progress,
    )


def _hub_folder(name: str, revision: str | None, download: Download) -> Path:
    try:
        return checkpoints.load_hub(
            name,
            revision=revision,
            cache_dir=download.cache_dir,
            local_files_only=download.local_files_only,
            progress=download.progress,
        )
    except WeightsNotFoundError as error:
        raise WeightsNotFoundError(
            f"{name!r} is not a folder here, and cannot be fetched as a hub repository: {error}"
        ) from error


def _require_no_path(path: Path) -> None:
    """Say what to do with a path that exists but is not the folder of a saved network."""
    convert = "facemask-inpaint convert ARCHITECTURE FILE --out FOLDER"
    if path.is_dir():
        raise CheckpointError(
            f"{path}: this folder does not hold config.json and model.safetensors; an official "
            f"checkpoint file is turned into such a folder by: {convert}"
        )
    if path.is_file():
        raise CheckpointError(
            f"{path} is a file; Inpainter.from_checkpoint(path, architecture) opens an official "
            f"checkpoint, and this turns it into a folder that loads by its path: {convert}"
        )


@ordinary_torch()
def load_checkpoint(path: CheckpointPaths, architecture: str, **options: object) -> Loaded:
    """Load an official file, laid out as ``architecture`` (or a registry name) says."""
    card = models.card(architecture)
    _require_network(card)
    roles = {file.role: file for file in card.files}
    files = _by_role(path, list(roles) or [WHOLE])
    try:
        parts = {role: _read(file, card, role, roles.get(role)) for role, file in files.items()}
        paths = {role: Path(file) for role, file in files.items()}
        return Loaded(_build(card, parts, options), None, paths)
    except CheckpointError as error:
        raise _naming(error, ", ".join(map(str, files.values()))) from None


def load_folder(folder: str | Path) -> Loaded:
    """Load a network from its folder with ``config.json`` and ``model.safetensors``."""
    config, tensors = checkpoints.load_folder(folder)
    architecture, options = (_entry(config, name, folder) for name in _CONFIG)
    numbers = sum(tensor.numel() for tensor in tensors.values())
    try:
        # Some layers create as many numbers again as they keep, and tables besides.
        require_size(
            network_class(architecture),
            options,
            elements=4 * numbers + 2**25,
            tensors=10 * len(tensors) + 2000,
            message="describes a far larger network than the weights beside it",
        )
        network = blank(architecture, **options)
    except (OptionError, UnknownNameError) as error:
        raise CheckpointError(f"{folder}/config.json: {error}") from error
    load_exactly(network, tensors)
    known = config.get("card")
    return Loaded(network, models.card(known) if known in models.list_pretrained() else None)


def load_exported(folder: str | Path) -> Loaded:
    """Load the ``config.json`` + ``model.onnx`` form."""
    network = export.OnnxNetwork(folder)
    known = network.config.card
    return Loaded(network, models.card(known) if known in models.list_pretrained() else None)


def _entry(config: Mapping[str, Any], name: str, folder: str | Path) -> Any:
    if name not in config:
        raise CheckpointError(f"{folder}/config.json does not say {name!r}")
    try:
        return as_type(_CONFIG[name], config[name], name)
    except OptionError as error:
        raise CheckpointError(f"{folder}/config.json: {error}") from None


def _require_network(card: models.Card) -> None:
    if not card.available:
        raise WeightsNotFoundError(
            f"{card.name} is known, but its network {card.architecture!r} is not in this version "
            f"of the library; it has {', '.join(models.list_architectures())}"
        )


def _fetch(
    card: models.Card,
    file: models.WeightFile,
    download: Download,
    build: Callable[[str, dict[str, Tensor], Path], Content],
) -> Content:
    """What ``build`` makes of the first usable copy of ``file``, in any of its forms.

    It is called with the file's role, tensors and path.
    """
    form_of = {source: form for form in file.forms for source in form.sources}

    def open_copy(source: checkpoints.Source, path: Path) -> Content:
        try:
            return build(file.role, _read(path, card, file.role, form_of[source]), path)
        except CheckpointError as error:
            raise _naming(error, path) from error

    return checkpoints.fetch_readable(
        list(form_of), open_copy, architecture=card.architecture, **download._asdict()
    )


def _read(
    path: str | Path, card: models.Card, role: str, form: models.WeightFile | None
) -> dict[str, Tensor]:
    """The network's own tensors of a file under their official keys, without prefixes.

    Args:
        path: the file, in any container.
        card: of the network.
        role: of the file among the network's parts.
        form: the card's description of the file, which says which of several copies counts.
    """
    network = network_class(card.architecture)
    preferred = [each.place for each in (form.forms if form else ()) if each.place]
    anchors = anchors_of(network, role)
    if not anchors:
        roles = [*roles_of(network), *([WHOLE] if anchors_of(network) else [])]
        raise OptionError(
            f"{card.architecture} has no file called {role!r}; it has: {', '.join(roles) or 'none'}"
        )
    name = part_name(network, role)
    return checkpoints.read_own(path, anchors, name, preferred=preferred)


def _naming(error: CheckpointError, path: str | Path) -> CheckpointError:
    """The error with the file's name in it."""
    return error if str(path) in str(error) else type(error)(f"{path}: {error}")


def _by_role(path: CheckpointPaths, roles: list[str]) -> dict[str, str | Path]:
    if isinstance(path, Mapping):
        return dict(path)
    paths = [path] if isinstance(path, str | Path) else list(path)
    if len(paths) != len(roles):
        count = "one file" if len(roles) == 1 else f"{len(roles)} files ({', '.join(roles)})"
        raise OptionError(f"this network comes in {count}, not {len(paths)}")
    return dict(zip(roles, paths))


def _build(
    card: models.Card, parts: Mapping[str, Mapping[str, Tensor]], options: Mapping[str, object]
) -> InpaintingNetwork:
    """The card's network; the keys of several parts are distinguished by ``role/``."""
    options = {**card.options, **options}
    if not parts:
        return models.create(card.architecture, **options)
    if len(parts) == 1:
        (tensors,) = parts.values()
    else:
        tensors = {f"{role}/{key}": t for role, part in parts.items() for key, t in part.items()}
    return models.from_official(card.architecture, tensors, **options)
