"""The page itself: Gradio components, and the handlers of their events."""

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
from facemask_inpaint._internal.types import Blend
from facemask_inpaint.app.studio import (
    MOST_MODELS,
    InpaintingRequest,
    InpaintingResult,
    Studio,
    model_choices,
    painted_area,
    read_portrait,
    without_folders,
)
from facemask_inpaint.errors import FacemaskInpaintError, UnknownNameError
from facemask_inpaint.masks import MaskClass
from facemask_inpaint.models import card

_log = logging.getLogger(__name__)

_TITLE = "Inpaint a portrait"
_LEAD = (
    "Choose what to hide in a portrait: tick components, paint, or both. Then inpaint it with one "
    "model, or with two to compare."
)
_EASEL = (640, 640)
"""Width and height that the image under the brush fits into."""


@dataclass(frozen=True)
class _Inputs:
    """The page's controls; their order is that of :meth:`_Handlers.inpaint`'s arguments."""

    portrait: gr.Image
    label_map: gr.File
    parser: gr.Dropdown
    classes: gr.CheckboxGroup
    easel: gr.ImageEditor
    models: gr.Dropdown
    seed: gr.Number
    dilate: gr.Number
    blend: gr.Radio


@dataclass(frozen=True)
class _Outputs:
    """Where the result is shown."""

    report: gr.Markdown
    slider: gr.ImageSlider
    gallery: gr.Gallery
    downloads: list[gr.DownloadButton]


def build_page(studio: Studio, folder: Path, *, models: Sequence[str], parser: str) -> gr.Blocks:
    """Build the page; :func:`~facemask_inpaint.app.serve` serves it.

    Args:
        studio: does the work.
        folder: where composites and the sample portrait are written.
        models: names of the one or two models that are preselected.
        parser: name of the preselected parser.
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
        start.click(handlers.inpaint, controls, shown)
        inputs.portrait.input(handlers.changed, [inputs.portrait], [inputs.label_map, inputs.easel])
        again.click(handlers.sample, None, [inputs.portrait, inputs.label_map, inputs.easel])
    return page


def _advice(names: Sequence[str]) -> list[str]:
    """The advice on the card of the first model that has some."""
    advice = []
    for name in names:
        with suppress(UnknownNameError):  # a folder or hub repository
            advice.append(card(name).advice)
    return [text for text in advice if text][:1]


def _controls(
    handlers: _Handlers, models: Sequence[str], parser: str
) -> tuple[_Inputs, gr.Button, gr.Button]:
    portrait_file, label_map_file, easel = handlers.sample()
    portrait = gr.Image(
        portrait_file,
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard"],
        label="Portrait",
        height=320,
        elem_id="portrait",
    )
    # Not in a class of its own: Gradio would write stubs for that beside this file.
    portrait.preprocess = _dropped_file
    again = gr.Button("Use the sample portrait", size="sm", elem_id="sample")
    inputs = _Inputs(
        portrait=portrait,
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
        **_label_map_controls(label_map_file, parser),
        **_settings(),
    )
    return inputs, again, gr.Button("Inpaint", variant="primary", elem_id="fill")


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
            label="Strokes are inpainted together with the components",
            elem_id="easel",
        )


def _label_map_controls(label_map: str, parser: str) -> dict[str, Any]:
    with gr.Accordion("How components are found", open=False, elem_id="finding"), gr.Row():
        return {
            "label_map": gr.File(
                label_map,
                type="filepath",
                label="Label map (CelebAMask-HQ ids); without one, a parser makes it",
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
            type="pil", format="png", label="Original, hole, composites", elem_id="gallery"
        ),
    )


class _Handlers:
    """Handlers of the page's events; arguments and return values are Gradio's."""

    def __init__(self, studio: Studio, folder: Path) -> None:
        self._studio = studio
        self._folder = folder

    def sample(self) -> tuple[str, str, EditorValue]:
        """Return the files of the bundled portrait and label map, and the image to paint on."""
        sample = data.sample()
        portrait, label_map = self._folder / "sample.png", self._folder / "sample_labels.png"
        sample.image.save(portrait)
        Image.fromarray(sample.label_map).save(label_map)
        return str(portrait), str(label_map), _on_easel(sample.image)

    def changed(self, portrait: str | None) -> tuple[None, EditorValue | None]:
        """Drop the label map of the old portrait, and return the new one to paint on."""
        with _errors_on_page():
            return None, None if portrait is None else _on_easel(read_portrait(portrait))

    def inpaint(
        self,
        portrait: str | None,
        label_map: str | None,
        parser: str,
        classes: list[str],
        easel: EditorValue | None,
        models: list[str],
        seed: int | None,
        dilate: float | None,
        blend: Blend,
    ) -> list[Any]:
        """Return what each of the outputs shows."""
        if portrait is None:
            raise gr.Error("Drop a portrait first.")
        layers = easel["layers"] if easel else []
        request = InpaintingRequest(
            portrait=portrait,
            models=tuple(models),
            label_map=label_map,
            parser=parser,
            classes=tuple(classes),
            painted=painted_area(layers),
            seed=seed or 0,
            dilate=dilate or 0,
            blend=blend,
        )
        with _errors_on_page():
            return self._shown(self._studio.inpaint(request), Path(portrait).stem)

    def _shown(self, result: InpaintingResult, stem: str) -> list[Any]:
        (left, before), (right, after) = result.comparison
        composites = result.composites.items()
        gallery = [
            (result.portrait, "original"),
            (result.hidden, "hole"),
            *((composite, name) for name, composite in composites),
        ]
        unused = [gr.DownloadButton(visible=False)] * (MOST_MODELS - len(composites))
        return [
            result.report(),
            gr.ImageSlider((before, after), label=f"{left} | {right}"),
            gallery,
            *(self._download(name, composite, stem) for name, composite in composites),
            *unused,
        ]

    def _download(self, name: str, composite: Image.Image, stem: str) -> gr.DownloadButton:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        target = folder / f"{stem}_{re.sub(r'[^A-Za-z0-9-]+', '_', name).strip('_')}.png"
        composite.save(target)
        return gr.DownloadButton(f"Download {name} (PNG)", value=str(target), visible=True)


def _dropped_file(payload: Any) -> str | None:
    """The file that was dropped; the studio, not Gradio, checks that it is an image."""
    return None if payload is None else payload.path


@contextmanager
def _errors_on_page() -> Iterator[None]:
    """Show errors on the page, without the folders of this machine."""
    try:
        yield
    except FacemaskInpaintError as error:
        raise gr.Error(without_folders(str(error))) from error
    except Exception as error:
        _log.exception("an event of the page failed")
        text = f"This did not work ({type(error).__name__}: {error}); the terminal says more."
        raise gr.Error(without_folders(text)) from error


def _on_easel(portrait: Image.Image) -> EditorValue:
    """The image to paint on; the studio stretches strokes on a smaller copy back."""
    background = images.to_rgb(portrait)
    background.thumbnail(_EASEL)
    return {"background": background, "layers": [], "composite": None}
