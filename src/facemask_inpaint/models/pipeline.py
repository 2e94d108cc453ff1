"""Any inpainting pipeline of ``diffusers`` as a network: Stable Diffusion, SDXL, FLUX Fill, ...

A pipeline gets an image whose hidden pixels are gone already, replaced by a harmonic filling of
the known ones: whatever it does with its input, it cannot copy what is hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from typing_extensions import override

from facemask_inpaint.errors import FacemaskInpaintError, OptionError
from facemask_inpaint.images.harmonic import fill_harmonically
from facemask_inpaint.models._conditions import (
    BatchConditions,
    Condition,
    ConditionSpec,
    steps_condition,
)
from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models._pipeline_files import Pipeline, call_parameters
from facemask_inpaint.models._prompts import NEGATIVE_PROMPT, default_prompt
from facemask_inpaint.models.layers.diffusion import TRAINED_STEPS

_SEED_BYTES = 7
_USUAL_STEPS = 50
_USUAL_RESOLUTION = 512
_CELL = 8
_MULTIPLE = 64

Prompts = str | Mapping[str, str] | None
"""One prompt for all holes, or prompts by mask class; classes that are not named keep theirs."""


class PipelineNetwork(InpaintingNetwork):
    """An inpainting pipeline of ``diffusers`` behind the contract of all networks.

    Images go through the pipeline one by one, each with a generator of its own that is seeded by
    the draw ``seed``. An image's ``prompt`` counts first, then the prompt of its ``mask_class``.

    Args:
        pipeline: any object of ``diffusers`` that is called with ``image`` and ``mask_image``.
        prompt: what to draw, see :data:`Prompts`; ``models.PROMPTS`` has the defaults.
        negative_prompt: what not to draw, for pipelines that take one.
        steps: steps of a run; ``None`` is the pipeline's own number.
        guidance_scale: how much the prompt counts; ``None`` is the pipeline's own number.
        strength: share of the steps that is taken, for pipelines that take one. Below 1 a run
            starts from the harmonic filling, never from what is hidden.
        resolution: side in pixels at which images are given; ``None`` asks the pipeline.
        arguments: further arguments of every call of the pipeline.
        in_place: leave the pipeline on its devices and in its precisions, whatever is asked for.

    Raises:
        OptionError: the object is no inpainting pipeline, or an argument makes no sense.
        MissingDependencyError: ``diffusers`` is not installed.

    Example:
        >>> from diffusers import AutoPipelineForInpainting  # doctest: +SKIP
        >>> pipeline = AutoPipelineForInpainting.from_pretrained("folder")  # doctest: +SKIP
        >>> network = PipelineNetwork(pipeline, prompt="a face", steps=30)  # doctest: +SKIP
    """

    size_multiple = _MULTIPLE
    preferred_strategy = "resize"

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        prompt: Prompts = None,
        negative_prompt: str = NEGATIVE_PROMPT,
        steps: int | None = None,
        guidance_scale: float | None = None,
        strength: float = 1.0,
        resolution: int | None = None,
        arguments: Mapping[str, object] | None = None,
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
        self.pipeline, self._call_parameters = pipeline, parameters
        self.in_place = in_place
        self.native_resolution = resolution or _native_resolution(pipeline)
        self.arguments = dict(arguments or {})
        self.strength = strength
        self._prompt, self._negative_prompt = prompt, negative_prompt
        own_steps, own_scale = (
            parameters.get(name) for name in ("num_inference_steps", "guidance_scale")
        )
        self._steps = steps or (own_steps if isinstance(own_steps, int) else _USUAL_STEPS)
        own_scale = float(own_scale) if isinstance(own_scale, int | float) else None
        self._guidance_scale = own_scale if guidance_scale is None else guidance_scale
        self.options: dict[str, object] = {
            "pipeline": type(pipeline).__name__,
            "prompt": prompt,
            "strength": strength,
            "resolution": self.native_resolution,
            "arguments": self.arguments,
            "negative_prompt": negative_prompt,
            "steps": self._steps,
            "guidance_scale": self._guidance_scale,
        }

    @override
    def condition_spec(self) -> ConditionSpec:
        def text(meaning: str, default: str | None = None) -> Condition:
            return Condition(value_type=str, meaning=meaning, default=default, per_image=True)

        guidance = Condition(
            value_type=float,
            meaning="how much the prompt counts",
            default=self._guidance_scale,
            minimum=0,
        )
        conditions = {
            "mask_class": text("mask class of the hole, which chooses the prompt"),
            "prompt": text("what is to be seen in the hole"),
            "negative_prompt": text("what is not to be seen there", self._negative_prompt),
            "steps": steps_condition(self._steps, TRAINED_STEPS),
            "guidance_scale": guidance,
        }
        needed = {"mask_class": "prompt", "steps": "num_inference_steps"}
        return {
            name: condition
            for name, condition in conditions.items()
            if needed.get(name, name) in self._call_parameters
        }

    @override
    def default_conditions(self, mask_classes: Iterable[str]) -> dict[str, object]:
        """Return steps, guidance, negative prompt, and the prompt of every mask class."""
        conditions = super().default_conditions(mask_classes)
        if "prompt" in self._call_parameters:
            conditions["prompts"] = {str(name): self.prompt_of(name) for name in mask_classes}
        return conditions

    def prompt_of(self, mask_class: str | None) -> str:
        """Return what is asked for in the hole of a mask class."""
        if isinstance(self._prompt, str):
            return self._prompt
        return (self._prompt or {}).get(str(mask_class), default_prompt(mask_class))

    @override
    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        return {"seed": (n, _SEED_BYTES)}

    @override
    def draw(self, name: str, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        """Draw a seed's bytes, which every floating-point type holds exactly."""
        return torch.randint(256, shape, generator=generator).float()

    @override
    def fill_conditioned(
        self,
        masked_image: Tensor,
        hole: Tensor,
        latents: Mapping[str, Tensor],
        conditions: BatchConditions,
    ) -> Tensor:
        predictions = []
        for index in range(len(masked_image)):
            inside = hole[index, 0] > 0.5
            filled = fill_harmonically(masked_image[index].float(), inside)
            single = {
                name: value[index] if isinstance(value, list) else value
                for name, value in conditions.items()
            }
            seed = bytes(int(byte) for byte in latents["seed"][index])
            generator = torch.Generator().manual_seed(int.from_bytes(seed, "big"))
            predictions.append(self._run(filled, inside, generator, single))
        return torch.stack(predictions).to(masked_image)

    def _run(
        self,
        image: Tensor,
        inside: Tensor,
        generator: torch.Generator,
        conditions: Mapping[str, object],
    ) -> Tensor:
        """The pipeline's image ``(3, H, W)`` in [-1, 1] for one image and its hole."""
        height, width = inside.shape
        values = {
            **_pillow_images(image, inside),
            "height": height,
            "width": width,
            "strength": self.strength,
            "generator": generator,
            "output_type": "np",
            "callback_on_step_end": self._watcher(conditions.get("steps", 0)),
            "num_inference_steps": conditions.get("steps"),
            "guidance_scale": conditions.get("guidance_scale"),
            "prompt": conditions.get("prompt") or self._class_prompt(conditions),
            "negative_prompt": conditions.get("negative_prompt"),
        }
        taken = {
            name: value
            for name, value in values.items()
            if name in self._call_parameters and value is not None
        }
        self.pipeline.set_progress_bar_config(disable=not self.progress)
        output = self.pipeline(**{**taken, **self.arguments})
        if any(getattr(output, "nsfw_content_detected", None) or []):
            raise FacemaskInpaintError(
                "the pipeline's safety checker replaced its image by a black one; choose "
                "another seed or prompt, or build the pipeline without a checker"
            )
        made = np.asarray(output.images[0], dtype=np.float32)
        if made.shape != (height, width, 3):
            raise FacemaskInpaintError(
                f"{type(self.pipeline).__name__} returned an array {made.shape} for an image of "
                f"{height} x {width}; give resolution= a side that it keeps to"
            )
        return torch.from_numpy(made * 2 - 1).permute(2, 0, 1)

    def _class_prompt(self, conditions: Mapping[str, object]) -> str:
        mask_class = conditions.get("mask_class")
        return self.prompt_of(None if mask_class is None else str(mask_class))

    def _watcher(self, steps: object) -> Callable[..., object] | None:
        """Callback that calls :attr:`on_step`; nothing where nobody asks."""
        if self.on_step is None:
            return None
        on_step, total = self.on_step, int(str(steps))

        def watch(pipeline: object, step: int, timestep: object, values: object) -> object:
            on_step(step + 1, total)
            return values

        return watch

    @override
    def state_dict(self, *args: object, **options: object) -> dict[str, Tensor]:  # type: ignore[override]
        """Return the tensors of all parts of the pipeline, by ``part.key``."""
        return {
            f"{name}.{key}": tensor
            for name, part in self._parts().items()
            for key, tensor in part.state_dict().items()
        }

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PipelineNetwork:
        if not self.in_place:
            for part in self._parts().values():
                part._apply(fn)  # type: ignore[no-untyped-call]
        return self

    def _parts(self) -> dict[str, nn.Module]:
        parts = self.pipeline.components.items()
        return {name: part for name, part in parts if isinstance(part, nn.Module)}


def _pillow_images(image: Tensor, inside: Tensor) -> dict[str, Image.Image]:
    """Image ``(3, H, W)`` in [-1, 1] and bool mask ``(H, W)`` as pipelines take them."""
    levels = ((image.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return {
        "image": Image.fromarray(levels.permute(1, 2, 0).cpu().numpy()),
        "mask_image": Image.fromarray(inside.cpu().numpy().astype(np.uint8) * 255),
    }


def _native_resolution(pipeline: Pipeline) -> int:
    """Side in pixels for which a pipeline was trained, as far as its parts tell."""
    scales = (getattr(pipeline, f"{name}_scale_factor", 0) for name in ("vae", "movq"))
    scale = next((scale for scale in scales if scale), _CELL)
    for name in ("unet", "transformer"):
        config = getattr(getattr(pipeline, name, None), "config", None)
        side = getattr(config, "sample_size", None)
        if isinstance(side, int):
            return max(_MULTIPLE, side * scale // _MULTIPLE * _MULTIPLE)
    return _USUAL_RESOLUTION
