"""Pipelines of diffusers as networks: prompts by class, seeds, known pixels, nothing hidden."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import facemask_inpaint as fmi
from facemask_inpaint import benchmark
from facemask_inpaint.cli import main
from facemask_inpaint.errors import (
    CheckpointError,
    FacemaskInpaintError,
    OptionError,
    UnsafeCheckpointError,
)
from facemask_inpaint.masks import MaskClass
from facemask_inpaint.models import PROMPTS, PipelineNetwork, default_prompt
from facemask_inpaint.verification.hidden_pixels import hidden_pixel_influence
from tests.benchmark.runs import PORTRAITS
from tests.tiny_pipelines import stable_diffusion

SIDE = 64


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return stable_diffusion()


@pytest.fixture(scope="module")
def folder(pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline as its users have it: saved."""
    path = tmp_path_factory.mktemp("pipelines") / "tiny"
    pipeline.save_pretrained(path)
    return path


@pytest.fixture
def inpainter(pipeline: Any) -> fmi.Inpainter:
    return fmi.Inpainter.from_diffusers(pipeline, steps=2)


@pytest.fixture(scope="module")
def scene() -> tuple[Image.Image, np.ndarray]:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[24:48, 16:40] = True
    return fmi.data.sample(256).image.resize((SIDE, SIDE)), mask


class Recorded:
    """Stands for a pipeline and notes with what it was called."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline, self.calls = pipeline, []
        self.components, self.device = pipeline.components, pipeline.device
        self.dtype, self.unet = pipeline.dtype, pipeline.unet
        self.set_progress_bar_config = pipeline.set_progress_bar_config

    def __call__(
        self,
        prompt: Any = None,
        image: Any = None,
        mask_image: Any = None,
        strength: float = 0.6,
        negative_prompt: Any = None,
        num_inference_steps: int = 3,
        guidance_scale: float = 5.0,
        generator: Any = None,
        output_type: str = "pil",
    ) -> Any:
        call = {name: value for name, value in locals().items() if name != "self"}
        self.calls.append(call)
        return self.pipeline(**call)


def test_every_mask_class_has_a_prompt_of_its_own() -> None:
    assert set(PROMPTS) == {str(name) for name in MaskClass}
    assert len(set(PROMPTS.values())) == len(PROMPTS)
    assert default_prompt("left_cheek") == "natural human left cheek, photo of a face"


def test_known_pixels_are_exact_and_seeds_decide_image_by_image(
    inpainter: fmi.Inpainter, scene: tuple[Image.Image, np.ndarray]
) -> None:
    image, mask = scene
    both = inpainter([image, image], mask, seed=[3, 4])
    for seed, filled in zip((3, 4), both):
        alone = inpainter(image, mask, seed=seed)
        assert filled.tobytes() == alone.tobytes()
        assert np.array_equal(np.asarray(filled)[~mask], np.asarray(image)[~mask])
    assert both[0].tobytes() != both[1].tobytes()
    samples = inpainter(image, mask, num_samples=2)
    assert samples[0].tobytes() != samples[1].tobytes()


def test_the_prompt_of_a_call_counts_before_that_of_its_class(
    pipeline: Any, scene: tuple[Image.Image, np.ndarray]
) -> None:
    recorded = Recorded(pipeline)
    inpainter = fmi.Inpainter.from_diffusers(recorded, prompt={"hair": "red hair"})
    image, mask = scene
    inpainter([image] * 4, mask, mask_class=["hair", "eyes", None, "nose"])
    inpainter(image, mask, mask_class="hair", prompt="a hat", negative_prompt="", steps=1)
    prompts = [call["prompt"] for call in recorded.calls]
    assert prompts == [
        "red hair",
        PROMPTS["eyes"],
        "natural human face, portrait photo",
        PROMPTS["nose"],
        "a hat",
    ]
    assert [call["num_inference_steps"] for call in recorded.calls] == [3, 3, 3, 3, 1]
    assert [call["guidance_scale"] for call in recorded.calls] == [5.0] * 5
    assert {call["strength"] for call in recorded.calls} == {1.0}
    assert recorded.calls[0]["negative_prompt"].startswith("deformed")
    assert recorded.calls[-1]["negative_prompt"] == ""


@pytest.mark.parametrize("in_channels", [9, 4])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_no_pipeline_sees_what_is_hidden(
    in_channels: int, strength: float, scene: tuple[Image.Image, np.ndarray]
) -> None:
    pipeline = stable_diffusion(in_channels=in_channels)
    inpainter = fmi.Inpainter.from_diffusers(pipeline, steps=4, strength=strength)
    assert hidden_pixel_influence(inpainter, *scene).none


def test_the_pipeline_itself_fails_that_test_below_full_strength(
    pipeline: Any, scene: tuple[Image.Image, np.ndarray]
) -> None:
    def fill(strength: float, image: Image.Image, mask: Image.Image) -> Image.Image:
        return pipeline(
            "face",
            image=image,
            mask_image=mask,
            height=SIDE,
            width=SIDE,
            strength=strength,
            num_inference_steps=4,
            generator=torch.Generator().manual_seed(0),
        ).images[0]

    assert hidden_pixel_influence(partial(fill, 1.0), *scene).none
    assert hidden_pixel_influence(partial(fill, 0.5), *scene).largest > 2


def test_steps_are_shown_and_can_be_stopped(
    inpainter: fmi.Inpainter, scene: tuple[Image.Image, np.ndarray]
) -> None:
    seen: list[tuple[int, int]] = []
    inpainter.network.on_step = lambda done, total: seen.append((done, total))
    inpainter(*scene, steps=3)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_pipeline_loads_by_its_folder_and_answers_alike(
    folder: Path, inpainter: fmi.Inpainter, scene: tuple[Image.Image, np.ndarray]
) -> None:
    expected = inpainter(*scene, mask_class="eyes")
    for load in (fmi.Inpainter.from_pretrained, fmi.Inpainter.from_diffusers):
        loaded = load(folder, device="cpu")
        assert loaded(*scene, mask_class="eyes", steps=2).tobytes() == expected.tobytes()


def test_a_pipeline_for_text_alone_becomes_the_inpainting_one_of_its_family(
    tmp_path: Path, scene: tuple[Image.Image, np.ndarray]
) -> None:
    diffusers = pytest.importorskip("diffusers")
    parts = stable_diffusion(in_channels=4).components
    diffusers.StableDiffusionPipeline(**parts, requires_safety_checker=False).save_pretrained(
        tmp_path
    )
    inpainter = fmi.Inpainter.from_diffusers(tmp_path, device="cpu", steps=2)
    assert type(inpainter.network.pipeline).__name__ == "StableDiffusionInpaintPipeline"
    assert hidden_pixel_influence(inpainter, *scene).none


def test_the_benchmark_fills_with_it_and_records_its_prompts(
    pipeline: Any, folder: Path, tmp_path: Path
) -> None:
    inpainter = fmi.Inpainter.from_diffusers(pipeline, steps=1, prompt={"nose": "a snub nose"})
    run = benchmark.run(
        {"mine": inpainter, "saved": str(folder)},
        fmi.data.open_faces(PORTRAITS)[:1],
        out=tmp_path,
        classes="nose",
        resolutions=(SIDE,),
        metrics=("l1_hole",),
        device="cpu",
        compare=False,
        report=False,
        progress=False,
    )
    assert not run.failures
    assert {one.method for one in run.cases} == {"mine", "saved"}
    mine, saved = (one.conditions for one in run.methods)
    assert (mine["steps"], saved["steps"]) == (1, 50)
    assert mine["prompts"] == {**PROMPTS, "nose": "a snub nose"}
    assert saved["prompts"] == PROMPTS
    assert saved["guidance_scale"] == mine["guidance_scale"] == 7.5


def test_the_command_line_fills_with_it(folder: Path, tmp_path: Path) -> None:
    sample = fmi.data.sample(256)
    sample.image.resize((SIDE, SIDE)).save(tmp_path / "face.png")
    labels = Image.fromarray(np.asarray(sample.label_map)).resize((SIDE, SIDE), 0)
    labels.save(tmp_path / "labels.png")
    arguments = ["inpaint", tmp_path / "face.png", "--labels", tmp_path / "labels.png"]
    arguments += ["--classes", "eyes", "--model", folder, "--device", "cpu", "--steps", "2"]

    def fill(name: str, *more: str) -> bytes:
        out = tmp_path / name
        called = CliRunner().invoke(main, [*map(str, arguments), "--out", str(out), *more])
        assert called.exit_code == 0, called.output
        return Image.open(out).tobytes()

    by_class = fill("class.png")
    assert fill("same.png", "--prompt", PROMPTS["eyes"]) == by_class
    assert fill("other.png", "--prompt", "a nose") != by_class


def test_what_cannot_inpaint_is_refused(pipeline: Any) -> None:
    class TextToImage:
        def __call__(self, prompt: str) -> None: ...

    with pytest.raises(OptionError, match="takes no image and no mask_image"):
        PipelineNetwork(TextToImage())
    with pytest.raises(OptionError, match="strength must be above 0"):
        PipelineNetwork(pipeline, strength=0)


def test_an_index_may_ask_for_known_libraries_only(folder: Path, tmp_path: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (tmp_path / "model_index.json").write_text(json.dumps({**index, "unet": ["os", "system"]}))
    with pytest.raises(UnsafeCheckpointError, match="'system' of 'os' as its unet"):
        fmi.Inpainter.from_diffusers(tmp_path)
    own = {**index, "unet": ["stable_diffusion", "NoSuchPart"]}
    (tmp_path / "model_index.json").write_text(json.dumps(own))
    with pytest.raises(CheckpointError, match="holds no pipeline that can inpaint"):
        fmi.Inpainter.from_diffusers(tmp_path)
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "NoSuchPipeline"}))
    with pytest.raises(CheckpointError, match="knows no pipeline 'NoSuchPipeline'"):
        fmi.Inpainter.from_diffusers(tmp_path)
    (tmp_path / "model_index.json").write_text("[]")
    with pytest.raises(CheckpointError, match="no JSON object"):
        fmi.Inpainter.from_diffusers(tmp_path)


def test_a_black_image_of_the_safety_checker_is_no_answer(
    pipeline: Any, scene: tuple[Image.Image, np.ndarray]
) -> None:
    class Checked(Recorded):
        def __call__(self, image: Any = None, mask_image: Any = None) -> Any:
            answer = self.pipeline("face", image=image, mask_image=mask_image, output_type="np")
            answer.nsfw_content_detected = [True]
            return answer

    inpainter = fmi.Inpainter.from_diffusers(Checked(pipeline))
    with pytest.raises(FacemaskInpaintError, match="safety checker"):
        inpainter(*scene)


def test_a_pipeline_stays_where_it_is_unless_it_is_asked_to_move(pipeline: Any) -> None:
    inpainter = fmi.Inpainter.from_diffusers(pipeline)
    assert (inpainter.device, inpainter.dtype) == (pipeline.device, pipeline.dtype)
    moved = fmi.Inpainter.from_diffusers(stable_diffusion(), dtype="bfloat16")
    assert moved.network.pipeline.unet.dtype == torch.bfloat16
    assert pipeline.unet.dtype == torch.float32
