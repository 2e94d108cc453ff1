"""Pipelines of ``diffusers`` as files: checked before anything in them is loaded."""

from __future__ import annotations

import importlib.util
import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch

from facemask_inpaint._internal.identity import content_of
from facemask_inpaint.checkpoints._transfer import hub_bars
from facemask_inpaint.errors import CheckpointError, UnsafeCheckpointError, WeightsNotFoundError
from facemask_inpaint.models._prompts import NEGATIVE_PROMPT, default_prompt
from facemask_inpaint.models.layers.diffusion_unet import diffusers

INDEX_NAME = "model_index.json"
"""File by which a folder is known to hold a pipeline."""

_SUFFIXES = {".json", ".safetensors", ".txt", ".model"}
_LIBRARIES = ("diffusers", "transformers")


class PipelineOutput(Protocol):
    """What a pipeline returns, as far as it is read here."""

    images: Sequence[object]


class Pipeline(Protocol):
    """What is used of a pipeline of ``diffusers``."""

    @property
    def components(self) -> Mapping[str, object]:
        """Its parts by name."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    @property
    def dtype(self) -> torch.dtype:
        """Its precision."""

    def set_progress_bar_config(self, *, disable: bool) -> None:
        """Show or hide its progress bar."""

    def __call__(self, **arguments: object) -> PipelineOutput:
        """Run it."""


def call_parameters(pipeline: object) -> dict[str, object]:
    """Return the arguments that a pipeline, or a class of pipelines, is called with.

    Returns:
        Defaults by name; ``None`` also where there is none.
    """
    cls = pipeline if isinstance(pipeline, type) else type(pipeline)
    empty = inspect.Parameter.empty
    parameters = inspect.signature(cls.__call__).parameters.values()
    return {part.name: None if part.default is empty else part.default for part in parameters}


def load_pipeline(folder: str | Path) -> Pipeline:
    """Load a pipeline from a folder that ``save_pretrained`` wrote, without running its code.

    A pipeline that was made for text alone becomes the inpainting pipeline of its family.

    Raises:
        CheckpointError: the folder holds no pipeline that can inpaint.
        UnsafeCheckpointError: it asks for a library that pipelines do not need.
    """
    folder = Path(folder)
    cls = pipeline_class(folder)
    name = cls.__name__ if "mask_image" in call_parameters(cls) else "AutoPipelineForInpainting"
    try:
        pipeline: Pipeline = getattr(diffusers(), name).from_pretrained(
            folder, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False
        )
    except Exception as error:  # anything that a part's own loader may raise
        raise CheckpointError(f"{folder} holds no pipeline that can inpaint: {error}") from error
    return pipeline


def pipeline_class(folder: Path) -> type:
    """Return the class of diffusers that a folder's index names, once its parts are allowed.

    Raises:
        CheckpointError: diffusers knows no such pipeline.
        UnsafeCheckpointError: it asks for a library that pipelines do not need.
    """
    index, library = _read_index(folder), diffusers()
    cls = getattr(library, str(index.get("_class_name")), None)
    if not isinstance(cls, type) or not issubclass(cls, library.DiffusionPipeline):
        raise CheckpointError(f"{folder}: diffusers knows no pipeline {index.get('_class_name')!r}")
    return cls


def conditions_of_folder(folder: Path, mask_classes: Iterable[str]) -> dict[str, object]:
    """Return what ``default_conditions`` of the network will, without loading the pipeline."""
    parameters = call_parameters(pipeline_class(folder))
    conditions = {
        "negative_prompt": NEGATIVE_PROMPT if "negative_prompt" in parameters else None,
        "steps": parameters.get("num_inference_steps"),
        "guidance_scale": parameters.get("guidance_scale"),
        "prompts": {str(name): default_prompt(name) for name in mask_classes},
    }
    return {name: value for name, value in conditions.items() if value is not None}


def fetch_pipeline(
    repository: str,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    progress: bool = True,
) -> Path:
    """Return a local copy of a hub repository that holds a pipeline, safetensors only.

    Raises:
        WeightsNotFoundError: the repository cannot be reached or holds no pipeline.
    """
    try:
        with hub_bars(progress):
            folder = diffusers().DiffusionPipeline.download(
                repository,
                revision=revision,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
                use_safetensors=True,
            )
    except Exception as error:  # the hub client's error classes differ between its versions
        raise WeightsNotFoundError(f"pipeline {repository!r}: {error}") from error
    return Path(folder)


def pipeline_identity(folder: Path) -> str:
    """Return hex digits that change with weights or configuration in a pipeline's folder."""
    return content_of(path for path in sorted(folder.rglob("*")) if path.suffix in _SUFFIXES)


def is_pipeline_folder(path: str | Path) -> bool:
    """Whether ``path`` is a folder that holds a pipeline."""
    return (Path(path) / INDEX_NAME).is_file()


def _read_index(folder: Path) -> dict[str, object]:
    """What a folder's index says, once every part is known to be of a library that is allowed."""
    try:
        index = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{folder}/{INDEX_NAME} cannot be read: {error}") from error
    if not isinstance(index, dict):
        raise CheckpointError(f"{folder}/{INDEX_NAME} holds no JSON object")
    for name, part in index.items():
        if not (isinstance(part, list) and len(part) == 2 and part[0] is not None):
            continue
        library = str(part[0])
        if library not in _LIBRARIES and not _is_of_diffusers(library):
            raise UnsafeCheckpointError(
                f"{folder}/{INDEX_NAME} asks for {part[1]!r} of {library!r} as its {name}; only "
                f"parts of {' and '.join(_LIBRARIES)} are loaded"
            )
    return index


def _is_of_diffusers(library: str) -> bool:
    """Whether a name is that of a family of pipelines, which may have parts of their own."""
    diffusers()
    place = f"diffusers.pipelines.{library}"
    return library.isidentifier() and importlib.util.find_spec(place) is not None
