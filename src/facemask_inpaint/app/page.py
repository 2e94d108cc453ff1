"""The page itself: Gradio components, and the handlers of their events."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import gradio as gr
from gradio.components.image_editor import EditorValue
from PIL import Image

from facemask_inpaint import data, parsing
from facemask_inpaint._internal.types import Blend
from facemask_inpaint.app.studio import (
    MOST_MODELS,
    InpaintingRequest,
    InpaintingResult,
    Studio,
    model_choices,
    painted_area,
    without_folders,
)
from facemask_inpaint.errors import FacemaskInpaintError, UnknownNameError
from facemask_inpaint.masks import MaskClass
from facemask_inpaint.models import card

Result = TypeVar("Result")

_log = logging.getLogger(__name__)

_TITLE = "Inpaint a photo"
_LEAD = "Tick what to hide, or paint over it; then inpaint it with one model, or two to compare."
_EASEL = 1024
"""Longer side in pixels of the photo that is painted on, at most."""

_HEIGHT = "min(62vh, 640px)"
"""Height of the photo and of the result on the page, as CSS."""

_AUTOMATIC: Literal["automatic"] = "automatic"
_EVERY_FACE = ("all", "all")
_PHOTO, _RESULT = "photo", "result"
"""The two tabs."""

STYLE = """
main.app { padding: 8px 16px !important; }
#lead h1 { margin: 0 0 4px; font-size: 20px; }
#lead p { margin: 0; }
#compare img { object-fit: contain !important; }
@media (max-width: 700px) {
  main.app { padding: 4px 8px !important; }
  #lead p { display: none; }
  #easel, #compare, #easel > div, #compare > div { height: 38vh !important; }
  #easel { min-height: 0; }
  #classes label { padding: 2px 6px; font-size: 13px; }
  #fill { position: sticky; bottom: 4px; z-index: 5; }
}
"""
"""Less space around things than Gradio leaves, so that a telephone shows photo and button."""


@dataclass(frozen=True)
class _Inputs:
    """The page's controls; their order is that of :class:`_Values`."""

    portrait: gr.File
    label_map: gr.File
    parser: gr.Dropdown
    faces: gr.Radio
    classes: gr.CheckboxGroup
    easel: gr.ImageEditor
    models: gr.Dropdown
    seed: gr.Number
    dilate: gr.Number
    blend: gr.Radio
    match: gr.Checkbox


@dataclass(frozen=True)
class _Outputs:
    """Where the result is shown, and where the photo is."""

    tabs: gr.Tabs
    report: gr.Markdown
    slider: gr.ImageSlider
    downloads: list[gr.DownloadButton]

    def components(self) -> list[gr.Component]:
        """Return them all, in the order of what handlers return."""
        return [self.tabs, self.report, self.slider, *self.downloads]


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
        gr.Markdown("\n\n".join([f"# {_TITLE}", _LEAD, *_advice(models)]), elem_id="lead")
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                easel, note, outputs = _photo_and_result()
            with gr.Column(scale=2, min_width=320):
                inputs, again, start = _controls(handlers, easel, models, parser)
        controls = list(vars(inputs).values())
        marked = [inputs.easel, inputs.faces, note]
        opened = [*marked, *outputs.components()]
        start.click(handlers.inpaint, controls, outputs.components(), api_name="inpaint")
        start.click(None, js="() => scrollTo({top: 0})")  # of a telephone, to the result
        marks = [control.input for control in (inputs.parser, inputs.faces, inputs.classes)]
        marks += [inputs.label_map.upload, inputs.label_map.clear, inputs.dilate.submit, page.load]
        gr.on(marks, handlers.mark, controls, marked, show_progress="hidden")
        inputs.portrait.change(_none, None, [inputs.label_map]).then(
            handlers.open, controls, opened, show_progress="hidden"
        )
        again.click(handlers.sample, None, [inputs.portrait])
    return page


def _none() -> None:
    """The label map of the photo before is not that of a new one."""


def _advice(names: Sequence[str]) -> list[str]:
    """The advice on the card of the first model that has some."""
    advice = []
    for name in names:
        with suppress(UnknownNameError):  # a folder or hub repository
            advice.append(card(name).advice)
    return [text for text in advice if text][:1]


def _photo_and_result() -> tuple[gr.ImageEditor, gr.Markdown, _Outputs]:
    with gr.Tabs(elem_id="tabs") as tabs:
        with gr.Tab("Photo", id=_PHOTO):
            easel = gr.ImageEditor(
                type="pil",
                sources=[],
                transforms=[],
                layers=False,
                canvas_size=(_EASEL, _EASEL),
                height=_HEIGHT,
                brush=gr.Brush(default_size=24, colors=["#e63c8c"], color_mode="fixed"),
                show_label=False,
                elem_id="easel",
            )
            note = gr.Markdown(elem_id="note")
        with gr.Tab("Result", id=_RESULT):
            outputs = _Outputs(
                tabs=tabs,
                report=gr.Markdown("Nothing has been inpainted yet.", elem_id="report"),
                slider=gr.ImageSlider(
                    type="pil",
                    format="png",
                    height=_HEIGHT,
                    visible=False,
                    elem_id="compare",
                ),
                downloads=[
                    gr.DownloadButton("Download", visible=False, elem_id=f"download-{number}")
                    for number in range(MOST_MODELS)
                ],
            )
    return easel, note, outputs


def _controls(
    handlers: _Handlers, easel: gr.ImageEditor, models: Sequence[str], parser: str
) -> tuple[_Inputs, gr.Button, gr.Button]:
    portrait = gr.File(handlers.sample(), type="filepath", show_label=False, elem_id="portrait")
    # Not in a class of its own: Gradio would write stubs for that beside this file.
    portrait.preprocess = _dropped_file
    classes = gr.CheckboxGroup(
        [(member.replace("_", " "), member.value) for member in MaskClass],
        value=[MaskClass.EYES.value],
        label="Hide",
        elem_id="classes",
    )
    faces = gr.Radio([_EVERY_FACE], value="all", label="Face", visible=False, elem_id="faces")
    start = gr.Button("Inpaint", variant="primary", elem_id="fill")
    inputs = _Inputs(
        portrait=portrait,
        faces=faces,
        classes=classes,
        easel=easel,
        models=gr.Dropdown(
            model_choices(tuple(models)),
            value=list(models),
            multiselect=True,
            max_choices=MOST_MODELS,
            label="Models: one, or two to compare",
            elem_id="models",
        ),
        **_more_controls(parser),
    )
    return inputs, gr.Button("Use the sample portrait", size="sm", elem_id="sample"), start


def _more_controls(parser: str) -> dict[str, Any]:
    with gr.Accordion("More", open=False, elem_id="more"):
        return {
            "parser": gr.Dropdown(
                parsing.list_parsers(),
                value=parser,
                label="Parser that finds the components",
                info="Published ones are fetched when first used.",
            ),
            "label_map": gr.File(
                type="filepath",
                label="Label map (CelebAMask-HQ ids) in place of the parser",
                height=100,
                elem_id="labels",
            ),
            "match": gr.Checkbox(label="Take over the colours and the grain around the hole"),
            "blend": gr.Radio([_AUTOMATIC, *get_args(Blend)], value=_AUTOMATIC, label="Blend"),
            "dilate": gr.Number(
                InpaintingRequest.dilate,
                minimum=0,
                label="Dilate",
                info="Pixels, or a share of the side below 1.",
            ),
            "seed": gr.Number(0, precision=0, label="Seed"),
        }


class _Values(NamedTuple):
    """What the controls say, in the order of :class:`_Inputs`."""

    portrait: str | None
    label_map: str | None
    parser: str
    faces: int | str | None
    classes: list[str]
    easel: EditorValue | None
    models: list[str]
    seed: int | None
    dilate: float | None
    blend: Blend | Literal["automatic"]
    match: bool

    def request(self) -> InpaintingRequest | None:
        """Return what is asked for; ``None`` without a photo."""
        if self.portrait is None:
            return None
        return InpaintingRequest(
            portrait=self.portrait,
            models=tuple(self.models),
            label_map=self.label_map,
            parser=self.parser,
            faces=self.faces if isinstance(self.faces, int) else "all",
            classes=tuple(self.classes),
            painted=painted_area(self.easel["layers"] if self.easel else []),
            seed=self.seed or 0,
            dilate=self.dilate or 0,
            blend=None if self.blend == _AUTOMATIC else self.blend,
            match="tone" if self.match else None,
        )


class _Handlers:
    """Handlers of the page's events; arguments and return values are Gradio's."""

    def __init__(self, studio: Studio, folder: Path) -> None:
        self._studio = studio
        self._folder = folder

    def sample(self) -> str:
        """Return the file of the bundled portrait."""
        portrait = self._folder / "sample.png"
        if not portrait.exists():
            data.sample().image.save(portrait)
        return str(portrait)

    def open(self, *controls: object) -> list[object]:
        """Return a new photo to paint on, and no results."""
        fresh = _Values._make(controls)._replace(faces="all", easel=None)
        return [*self.mark(*fresh), *_cleared(_PHOTO, "Nothing has been inpainted yet.")]

    def mark(self, *controls: object) -> list[object]:
        """Return the photo with the components that are ticked, under the strokes."""
        values = _Values._make(controls)
        request, easel = values.request(), values.easel
        if request is None:
            return [None, gr.Radio(visible=False), "Drop a photo first."]
        preview, message = _attempt(lambda: self._studio.preview(request, _EASEL))
        if preview is None:
            return [None, gr.Radio(visible=False), message]
        layers = [] if easel is None else easel["layers"]
        painted_on = {"background": preview.image, "layers": layers, "composite": None}
        chosen = request.faces if request.faces in range(preview.faces) else "all"
        choices = [_EVERY_FACE, *((str(n + 1), n) for n in range(preview.faces))]
        faces = gr.Radio(choices, value=chosen, visible=preview.faces > 1)
        return [painted_on, faces, without_folders(preview.note)]

    def inpaint(self, *controls: object) -> list[object]:
        """Return what each of the outputs shows: a result, or what was wrong."""
        request = _Values._make(controls).request()
        if request is None:
            return _cleared(_RESULT, "Drop a photo first.")
        result, message = _attempt(lambda: self._studio.inpaint(request))
        if result is None:
            return _cleared(_RESULT, message)
        return self._shown(result, Path(request.portrait).stem)

    def _shown(self, result: InpaintingResult, stem: str) -> list[object]:
        (left, before), (right, after) = result.comparison
        composites = result.composites.items()
        unused = [gr.DownloadButton(visible=False)] * (MOST_MODELS - len(composites))
        return [
            gr.Tabs(selected=_RESULT),
            result.report(),
            gr.ImageSlider((before, after), label=f"{left} | {right}", visible=True),
            *(self._download(name, composite, stem) for name, composite in composites),
            *unused,
        ]

    def _download(self, name: str, composite: Image.Image, stem: str) -> gr.DownloadButton:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        target = folder / f"{stem}_{re.sub(r'[^A-Za-z0-9-]+', '_', name).strip('_')}.png"
        composite.save(target)
        return gr.DownloadButton(f"Download {name} (PNG)", value=str(target), visible=True)


def _cleared(tab: str, message: str) -> list[object]:
    """What the outputs show in place of a result."""
    hidden = [gr.DownloadButton(visible=False)] * MOST_MODELS
    return [gr.Tabs(selected=tab), message, gr.ImageSlider(None, visible=False), *hidden]


def _attempt(work: Callable[[], Result]) -> tuple[Result | None, str]:
    """What some work returns; or ``None`` and what was wrong, without folders of this machine."""
    try:
        return work(), ""
    except FacemaskInpaintError as error:
        return None, without_folders(str(error))
    except Exception as error:
        _log.exception("an event of the page failed")
        text = f"This did not work ({type(error).__name__}: {error}); the terminal says more."
        return None, without_folders(text)


def _dropped_file(payload: Any) -> str | None:
    """The file that was dropped; the studio, not Gradio, checks that it is an image."""
    return None if payload is None else payload.path
