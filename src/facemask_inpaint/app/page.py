"""The page itself: Gradio components, and what their events ask of the studio."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import gradio as gr
from gradio.components.image_editor import EditorValue
from PIL import Image

from facemask_inpaint import data, images, parsing
from facemask_inpaint.app.studio import (
    MOST_MODELS,
    InpaintingRequest,
    InpaintingResult,
    Studio,
    model_choices,
    painted_area,
    read_portrait,
    without_places,
)
from facemask_inpaint.errors import FacemaskInpaintError, UnknownNameError
from facemask_inpaint.inpainting.inpainter import Blend
from facemask_inpaint.masks import MaskClass
from facemask_inpaint.models import card

_log = logging.getLogger(__name__)

_TITLE = "Inpaint a portrait"
_LEAD = (
    "Choose what to hide in a portrait: tick components, paint, or both. Then fill it with one "
    "model, or with two to compare."
)
_EASEL = (640, 640)
"""Width and height that the picture under the brush fits into."""


@dataclass(frozen=True)
class _Inputs:
    """The page's controls; their order is that of :meth:`_Handlers.fill`'s arguments."""

    portrait: gr.Image
    labels: gr.File
    parser: gr.Dropdown
    classes: gr.CheckboxGroup
    easel: gr.ImageEditor
    models: gr.Dropdown
    seed: gr.Number
    dilate: gr.Number
    blend: gr.Radio


@dataclass(frozen=True)
class _Outputs:
    """Where the answer is shown."""

    report: gr.Markdown
    slider: gr.ImageSlider
    gallery: gr.Gallery
    downloads: list[gr.DownloadButton]


def build_page(studio: Studio, folder: Path, *, models: Sequence[str], parser: str) -> gr.Blocks:
    """The page, not served yet.

    Args:
        studio: does the work.
        folder: where results and the sample portrait are written.
        models: names of the models chosen at first, one or two.
        parser: name of the parser chosen at first.
    """
    handlers = _Handlers(studio, folder)
    with gr.Blocks(title=_TITLE, analytics_enabled=False) as page:
        gr.Markdown("\n\n".join([f"# {_TITLE}", _LEAD, *_advice(models)]))
        with gr.Row():
            with gr.Column():
                inputs, again, start = _controls(handlers, models, parser)
            with gr.Column():
                outputs = _results()
        controls = list(vars(inputs).values())
        shown = [outputs.report, outputs.slider, outputs.gallery, *outputs.downloads]
        start.click(handlers.fill, controls, shown)
        inputs.portrait.input(handlers.changed, [inputs.portrait], [inputs.labels, inputs.easel])
        again.click(handlers.sample, None, [inputs.portrait, inputs.labels, inputs.easel])
    return page


def _advice(names: Sequence[str]) -> list[str]:
    """What to know of the first model that comes with the library."""
    found = []
    for name in names:
        with suppress(UnknownNameError):  # a folder or hub repository
            found.append(card(name).advice)
    return [advice for advice in found if advice][:1]


def _controls(
    handlers: _Handlers, models: Sequence[str], parser: str
) -> tuple[_Inputs, gr.Button, gr.Button]:
    portrait, labels, easel = handlers.sample()
    picture = gr.Image(
        portrait,
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard"],
        label="Portrait",
        height=320,
        elem_id="portrait",
    )
    # Not in a class of its own: Gradio would write stubs for that beside this file.
    picture.preprocess = _dropped_file
    again = gr.Button("Use the sample portrait", size="sm", elem_id="sample")
    inputs = _Inputs(
        portrait=picture,
        classes=gr.CheckboxGroup(
            [(member.replace("_", " "), member.value) for member in MaskClass],
            value=[MaskClass.EYES.value],
            label="Components to hide",
            elem_id="classes",
        ),
        easel=_easel(easel),
        models=gr.Dropdown(
            model_choices(tuple(models)),
            value=list(models),
            multiselect=True,
            max_choices=MOST_MODELS,
            label="Models",
            info="One, or two to compare.",
            elem_id="models",
        ),
        **_finding(labels, parser),
        **_settings(),
    )
    return inputs, again, gr.Button("Fill", variant="primary", elem_id="fill")


def _easel(background: EditorValue) -> gr.ImageEditor:
    with gr.Accordion("Paint", open=False, elem_id="paint"):
        return gr.ImageEditor(
            background,
            type="pil",
            sources=[],
            transforms=[],
            layers=False,
            canvas_size=_EASEL,
            brush=gr.Brush(default_size=12, colors=["#e63c8c"], color_mode="fixed"),
            label="Strokes are filled besides the components",
            elem_id="easel",
        )


def _finding(labels: str, parser: str) -> dict[str, Any]:
    with gr.Accordion("How components are found", open=False, elem_id="finding"), gr.Row():
        return {
            "labels": gr.File(
                labels,
                type="filepath",
                label="Label map (CelebAMask-HQ ids); without one, a parser looks",
                height=120,
                elem_id="labels",
            ),
            "parser": gr.Dropdown(
                parsing.list_parsers(),
                value=parser,
                label="Parser",
                info="Published ones are fetched when first used.",
            ),
        }


def _settings() -> dict[str, Any]:
    with gr.Row():
        return {
            "seed": gr.Number(0, precision=0, label="Seed"),
            "dilate": gr.Number(
                InpaintingRequest.dilate,
                minimum=0,
                label="Dilate",
                info="Pixels, or a share of the side below 1.",
            ),
            "blend": gr.Radio(list(get_args(Blend)), value=InpaintingRequest.blend, label="Blend"),
        }


def _results() -> _Outputs:
    return _Outputs(
        slider=gr.ImageSlider(type="pil", format="png", label="Compare", elem_id="compare"),
        report=gr.Markdown(elem_id="report"),
        downloads=[
            gr.DownloadButton("Download", visible=False, elem_id=f"download-{number}")
            for number in range(MOST_MODELS)
        ],
        gallery=gr.Gallery(
            type="pil", format="png", label="Original, hole, results", elem_id="gallery"
        ),
    )


class _Handlers:
    """What happens when something is clicked; arguments and answers are Gradio's."""

    def __init__(self, studio: Studio, folder: Path) -> None:
        self._studio = studio
        self._folder = folder

    def sample(self) -> tuple[str, str, EditorValue]:
        """Files of the bundled portrait and its label map, and the picture to paint on."""
        sample = data.sample()
        portrait, labels = self._folder / "sample.png", self._folder / "sample_labels.png"
        sample.image.save(portrait)
        Image.fromarray(sample.label_map).save(labels)
        return str(portrait), str(labels), _on_easel(sample.image)

    def changed(self, portrait: str | None) -> tuple[None, EditorValue | None]:
        """Another portrait: the old label map does not fit, and there is a new one to paint on."""
        with _told():
            return None, None if portrait is None else _on_easel(read_portrait(portrait))

    def fill(
        self,
        portrait: str | None,
        labels: str | None,
        parser: str,
        classes: list[str],
        easel: dict[str, Any] | None,
        models: list[str],
        seed: int | None,
        dilate: float | None,
        blend: Blend,
    ) -> list[Any]:
        """Everything that the outputs show."""
        if portrait is None:
            raise gr.Error("Drop a portrait first.")
        layers = (easel or {}).get("layers") or []
        request = InpaintingRequest(
            portrait=portrait,
            models=tuple(models),
            labels=labels,
            parser=parser,
            classes=tuple(classes),
            painted=painted_area(layers),
            seed=seed or 0,
            dilate=dilate or 0,
            blend=blend,
        )
        with _told():
            return self._shown(self._studio.fill(request), Path(portrait).stem)

    def _shown(self, answer: InpaintingResult, stem: str) -> list[Any]:
        (left, before), (right, after) = answer.sides
        pictures = [
            (answer.portrait, "original"),
            (answer.cut, "hole"),
            *((picture, name) for name, picture in answer.filled.items()),
        ]
        buttons = [gr.DownloadButton(visible=False)] * (MOST_MODELS - len(answer.filled))
        return [
            answer.report(),
            gr.ImageSlider((before, after), label=f"{left} | {right}"),
            pictures,
            *(self._download(name, picture, stem) for name, picture in answer.filled.items()),
            *buttons,
        ]

    def _download(self, name: str, picture: Image.Image, stem: str) -> gr.DownloadButton:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        target = folder / f"{stem}_{re.sub(r'[^A-Za-z0-9-]+', '_', name).strip('_')}.png"
        picture.save(target)
        return gr.DownloadButton(f"Download {name} (PNG)", value=str(target), visible=True)


def _dropped_file(payload: Any) -> str | None:
    """The file that was dropped; whether it is a picture, this library says."""
    return None if payload is None else payload.path


@contextmanager
def _told() -> Iterator[None]:
    """Show on the page why something was refused or failed, without places on this machine."""
    try:
        yield
    except FacemaskInpaintError as error:
        raise gr.Error(without_places(str(error))) from error
    except Exception as error:
        _log.exception("the page met a fault")
        text = f"This did not work ({type(error).__name__}: {error}); the terminal says more."
        raise gr.Error(without_places(text)) from error


def _on_easel(portrait: Image.Image) -> EditorValue:
    """The picture to paint on; strokes on a smaller copy are stretched back by the studio."""
    background = images.to_rgb(portrait)
    background.thumbnail(_EASEL)
    return {"background": background, "layers": [], "composite": None}
