"""Any inpainting pipeline of ``diffusers`` as a network: Stable Diffusion, SDXL, SD3, FLUX Fill …

A pipeline is shown an image whose hidden pixels are gone already, their place taken by a membrane
over the known ones: whatever it does with its input, it cannot copy what is hidden.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facemask_inpaint._internal.identity import content_of
from facemask_inpaint.checkpoints._transfer import hub_bars
from facemask_inpaint.errors import (
    CheckpointError,
    FacemaskInpaintError,
    OptionError,
    UnsafeCheckpointError,
    WeightsNotFoundError,
)
from facemask_inpaint.images.harmonic import fill_harmonically
from facemask_inpaint.models._conditions import Condition, ConditionSpec
from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models._prompts import NEGATIVE_PROMPT, default_prompt
from facemask_inpaint.models.layers.diffusion import Stepped
from facemask_inpaint.models.layers.diffusion_unet import diffusers

INDEX_NAME = "model_index.json"
"""File by which a folder is known to hold a pipeline."""

_SUFFIXES = {".json", ".safetensors", ".txt", ".model"}
_LIBRARIES = ("diffusers", "transformers")
_SEED_BYTES = 7
_DEFAULT_SIDE = 512
_CELL = 8
_MULTIPLE = 64

Prompts = str | Mapping[str, str] | None
"""One prompt for all holes, or prompts by mask class; classes that are not named keep theirs."""


class PipelineNetwork(Stepped, InpaintingNetwork):
    """An inpainting pipeline of ``diffusers`` behind the contract of all networks.

    Images go through the pipeline one by one, each with a generator of its own that is seeded by
    the draw ``seed``. Of what is told, an image's ``prompt`` counts first, then the prompt of its
    ``mask_class``.

    Args:
        pipeline: any object of ``diffusers`` that is called with ``image`` and ``mask_image``.
        prompt: what to draw, see :data:`Prompts`; ``models.prompts`` has the defaults.
        negative_prompt: what not to draw, for pipelines that take one.
        steps: steps of a run; ``None`` is the pipeline's own number.
        guidance_scale: how much the prompt counts; ``None`` is the pipeline's own number.
        strength: share of the steps that is taken, for pipelines that take one. Below 1 a run
            starts from the membrane, never from what is hidden.
        resolution: side in pixels at which images are shown; ``None`` asks the pipeline.
        arguments: further arguments of every call of the pipeline.
        in_place: leave the pipeline on its devices and in its precisions, whatever is asked for.

    Raises:
        OptionError: the object is no inpainting pipeline, or an argument makes no sense.
        MissingDependencyError: ``diffusers`` is not installed.
    """

    size_multiple = _MULTIPLE
    preferred_strategy = "resize"

    def __init__(
        self,
        pipeline: Any,
        *,
        prompt: Prompts = None,
        negative_prompt: str = NEGATIVE_PROMPT,
        steps: int | None = None,
        guidance_scale: float | None = None,
        strength: float = 1.0,
        resolution: int | None = None,
        arguments: Mapping[str, Any] | None = None,
        in_place: bool = False,
    ) -> None:
        super().__init__()
        parameters = call_parameters(pipeline)
        if missing := sorted({"image", "mask_image"} - parameters.keys()):
            raise OptionError(
                f"{type(pipeline).__name__} is no inpainting pipeline, it takes no "
                f"{' and no '.join(missing)}; AutoPipelineForInpainting.from_pipe makes one of it"
            )
        if not 0 < strength <= 1:
            raise OptionError(f"strength must be above 0 and at most 1, not {strength}")
        self.pipeline, self._call = pipeline, parameters
        self.in_place = in_place
        self.native_resolution = resolution or _native_side(pipeline)
        self.arguments = dict(arguments or {})
        self.strength = strength
        self._prompt = prompt
        self._defaults = {
            "negative_prompt": negative_prompt,
            "steps": steps or parameters.get("num_inference_steps") or 50,
            "guidance_scale": guidance_scale
            if guidance_scale is not None
            else parameters.get("guidance_scale"),
        }
        self.options = {
            "pipeline": type(pipeline).__name__,
            "prompt": prompt,
            "strength": strength,
            "resolution": self.native_resolution,
            "arguments": self.arguments,
            **self._defaults,
        }

    def condition_spec(self) -> ConditionSpec:
        texts = {
            "mask_class": "mask class of the hole, which chooses the prompt",
            "prompt": "what is to be seen in the hole",
        }
        if "prompt" not in self._call:
            texts = {}
        elif "negative_prompt" in self._call:
            texts["negative_prompt"] = "what is not to be seen there"
        spec = {
            name: Condition(
                kind=str, meaning=meaning, default=self._defaults.get(name), per_image=True
            )
            for name, meaning in texts.items()
        }
        if "num_inference_steps" in self._call:
            spec["steps"] = Condition(
                kind=int,
                meaning="steps of a run",
                default=self._defaults["steps"],
                minimum=1,
                maximum=1000,
            )
        if "guidance_scale" in self._call:
            spec["guidance_scale"] = Condition(
                kind=float,
                meaning="how much the prompt counts",
                default=self._defaults["guidance_scale"],
                minimum=0,
            )
        return spec

    def default_conditions(self, mask_classes: Iterable[str]) -> dict[str, Any]:
        """Steps, guidance, negative prompt, and the prompt of every mask class."""
        conditions = super().default_conditions(mask_classes)
        if "prompt" in self._call:
            conditions["prompts"] = {str(name): self.prompt_of(name) for name in mask_classes}
        return conditions

    def prompt_of(self, mask_class: str | None) -> str:
        """What is asked for in the hole of a mask class."""
        if isinstance(self._prompt, str):
            return self._prompt
        return (self._prompt or {}).get(str(mask_class), default_prompt(mask_class))

    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        return {"seed": (n, _SEED_BYTES)}

    def draw(self, name: str, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        """Draw a seed's bytes, which every floating-point type holds exactly."""
        return torch.randint(256, shape, generator=generator).float()

    def fill_conditioned(
        self,
        masked_image: Tensor,
        hole: Tensor,
        latents: Mapping[str, Any],
        conditions: Mapping[str, Any],
    ) -> Tensor:
        answers = []
        for index in range(len(masked_image)):
            inside = hole[index, 0] > 0.5
            shown = fill_harmonically(masked_image[index].float(), inside)
            single = {
                name: value[index] if isinstance(value, list) else value
                for name, value in conditions.items()
            }
            seed = bytes(int(byte) for byte in latents["seed"][index])
            generator = torch.Generator().manual_seed(int.from_bytes(seed, "big"))
            answers.append(self._answer(shown, inside, generator, single))
        return torch.stack(answers).to(masked_image)

    def _answer(
        self,
        shown: Tensor,
        inside: Tensor,
        generator: torch.Generator,
        conditions: Mapping[str, Any],
    ) -> Tensor:
        """Return ``(3, H, W)`` in [-1, 1] of the pipeline for one image."""
        height, width = inside.shape
        levels = ((shown.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        given = {
            "image": Image.fromarray(levels.permute(1, 2, 0).cpu().numpy()),
            "mask_image": Image.fromarray(inside.cpu().numpy().astype(np.uint8) * 255),
            "height": height,
            "width": width,
            "strength": self.strength,
            "generator": generator,
            "output_type": "np",
            "callback_on_step_end": self._watcher(conditions.get("steps", 0)),
            "num_inference_steps": conditions.get("steps"),
            "guidance_scale": conditions.get("guidance_scale"),
            "prompt": conditions.get("prompt") or self.prompt_of(conditions.get("mask_class")),
            "negative_prompt": conditions.get("negative_prompt"),
        }
        taken = {
            name: value for name, value in given.items() if name in self._call and value is not None
        }
        self.pipeline.set_progress_bar_config(disable=not self.progress)
        answer = self.pipeline(**{**taken, **self.arguments})
        if any(getattr(answer, "nsfw_content_detected", None) or []):
            raise FacemaskInpaintError(
                "the pipeline's safety checker replaced its answer by a black image; choose "
                "another seed or prompt, or build the pipeline without a checker"
            )
        image = np.asarray(answer.images[0], dtype=np.float32)
        if image.shape != (height, width, 3):
            raise FacemaskInpaintError(
                f"{type(self.pipeline).__name__} answered an array {image.shape} for an image of "
                f"{height} x {width}; give resolution= a side that it keeps to"
            )
        return torch.from_numpy(image * 2 - 1).permute(2, 0, 1)

    def _watcher(self, steps: int) -> Callable[..., Any] | None:
        """What tells :attr:`on_step` of every step; nothing where nobody asks."""
        if self.on_step is None:
            return None
        tell = self.on_step

        def watch(pipeline: Any, step: int, timestep: Any, values: Any) -> Any:
            tell(step + 1, steps)
            return values

        return watch

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Tensors of all parts of the pipeline, by ``part.key``."""
        return {
            f"{name}.{key}": tensor
            for name, part in self._parts().items()
            for key, tensor in part.state_dict().items()
        }

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PipelineNetwork:
        if not self.in_place:
            for part in self._parts().values():
                part._apply(fn)
        return self

    def _parts(self) -> dict[str, torch.nn.Module]:
        parts = self.pipeline.components.items()
        return {name: part for name, part in parts if isinstance(part, torch.nn.Module)}


def call_parameters(pipeline: Any) -> dict[str, Any]:
    """Arguments that a pipeline, or a class of pipelines, is called with, and their defaults."""
    kind = pipeline if isinstance(pipeline, type) else type(pipeline)
    empty = inspect.Parameter.empty
    found = inspect.signature(kind.__call__).parameters.values()
    return {one.name: None if one.default is empty else one.default for one in found}


def load_pipeline(folder: str | Path) -> Any:
    """A pipeline from a folder that ``save_pretrained`` wrote, without running what is in it.

    A pipeline that was made for text alone becomes the inpainting pipeline of its family.

    Raises:
        CheckpointError: the folder holds no pipeline that can inpaint.
        UnsafeCheckpointError: it asks for a library that pipelines do not need.
    """
    folder = Path(folder)
    kind = pipeline_class(folder)
    if "mask_image" not in call_parameters(kind):
        kind = diffusers().AutoPipelineForInpainting
    try:
        return kind.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False
        )
    except Exception as error:  # anything that a part's own loader may raise
        raise CheckpointError(f"{folder} holds no pipeline that can inpaint: {error}") from error


def pipeline_class(folder: Path) -> Any:
    """Class of diffusers that a folder's index names, once all of its parts are allowed.

    Raises:
        CheckpointError: diffusers knows no such pipeline.
        UnsafeCheckpointError: it asks for a library that pipelines do not need.
    """
    index, library = _read_index(folder), diffusers()
    kind = getattr(library, str(index.get("_class_name")), None)
    if not isinstance(kind, type) or not issubclass(kind, library.DiffusionPipeline):
        raise CheckpointError(f"{folder}: diffusers knows no pipeline {index.get('_class_name')!r}")
    return kind


def conditions_of_folder(folder: Path, mask_classes: Iterable[str]) -> dict[str, Any]:
    """What :meth:`PipelineNetwork.default_conditions` will say, without loading the pipeline."""
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
    """Local copy of a hub repository that holds a pipeline, safetensors only.

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
    """Hex digits that change with the weights or the configuration in a pipeline's folder."""
    return content_of(path for path in sorted(folder.rglob("*")) if path.suffix in _SUFFIXES)


def is_pipeline_folder(path: str | Path) -> bool:
    """Whether ``path`` is a folder that holds a pipeline."""
    return (Path(path) / INDEX_NAME).is_file()


def _read_index(folder: Path) -> dict[str, Any]:
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


def _native_side(pipeline: Any) -> int:
    """Side in pixels for which a pipeline was trained, as far as its parts tell."""
    scales = (getattr(pipeline, f"{name}_scale_factor", 0) for name in ("vae", "movq"))
    scale = next((scale for scale in scales if scale), _CELL)
    for name in ("unet", "transformer"):
        config = getattr(getattr(pipeline, name, None), "config", None)
        side = getattr(config, "sample_size", None)
        if isinstance(side, int):
            return max(_MULTIPLE, side * scale // _MULTIPLE * _MULTIPLE)
    return _DEFAULT_SIDE
