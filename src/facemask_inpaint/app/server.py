"""The page on an address of this machine; nothing is left behind when it is closed."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from facemask_inpaint.app.studio import MOST_MODELS, Studio
from facemask_inpaint.checkpoints import is_folder
from facemask_inpaint.errors import (
    FacemaskInpaintError,
    MissingDependencyError,
    OptionError,
    unknown_name,
)
from facemask_inpaint.parsing import list_parsers

if TYPE_CHECKING:
    import gradio
    from starlette.middleware import Middleware

_Launched: TypeAlias = "tuple[gradio.Blocks, list[str]]"

_OLDEST = 6
"""Oldest major version of Gradio whose functions the page uses."""

_DISCREET = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_RUN_HISTORY": "False"}
"""Keeps Gradio from reporting its use, and the browser from keeping images."""

_ATTEMPTS = 3
"""How often the page is launched before it counts as unreachable."""

_FONTS = ("system-ui", "sans-serif")
"""Fonts of the system; those of Gradio's themes would be downloaded."""


@contextmanager
def serve(
    models: Sequence[str] = ("lite",),
    *,
    parser: str = "small",
    device: str | None = None,
    port: int | None = None,
    share: bool = False,
) -> Iterator[list[str]]:
    """Serve the page on this machine while the block runs.

    Nothing is sent anywhere unless ``share`` is on or a model is chosen that has to be fetched.
    Uploaded images and composites lie in a temporary folder, which is removed with the page.

    Args:
        models: one or two preselected models; see ``Inpainter.from_pretrained``.
        parser: the preselected parser; see ``parsing.load_parser``.
        device: where networks run; ``None`` means CUDA when there, else CPU.
        port: TCP port; ``None`` for the first free one from 7860.
        share: also ask Gradio's service for a public address; everybody who knows it can use
            the page, and images pass through that service.

    Yields:
        Addresses of the page: the local one, and the public one if asked for.

    Raises:
        MissingDependencyError: Gradio is not installed, or it is too old.
        OptionError: there are no models, or too many.
        UnknownNameError: there is no such parser.
        FacemaskInpaintError: the page cannot be reached from this machine itself.
        OSError: the port is taken.

    Example:
        >>> with serve(["lite"], device="cpu") as addresses:  # doctest: +SKIP
        ...     print("open", addresses[0])
        open http://127.0.0.1:7860/
    """
    if not 1 <= len(models) <= MOST_MODELS:
        raise OptionError(f"name one model, or {MOST_MODELS} to compare, not {len(models)}")
    if parser not in list_parsers():
        raise unknown_name("parser", parser, list_parsers())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _environment({**_DISCREET, "GRADIO_TEMP_DIR": str(folder / "uploads")}):
            require_gradio()
            # Only now, as Gradio reads the environment when it is imported.
            from facemask_inpaint.app.page import build_page

            # The page shows what a model's folder is called, not where on this machine it lies.
            names = {name: Path(name).name for name in models if is_folder(name)}
            studio = Studio(device, {short: name for name, short in names.items()})
            shown = [names.get(name, name) for name in models]
            page, addresses = _launch(
                lambda: build_page(studio, folder, models=shown, parser=parser), port, share
            )
            try:
                yield addresses
            finally:
                page.close(verbose=False)


def _launch(build: Callable[[], gradio.Blocks], port: int | None, share: bool) -> _Launched:
    """A page that can be reached, and its addresses.

    Gradio gives up if the first response takes longer than three seconds, as on a busy machine; a
    second page is faster, since everything it needs is in memory by then.
    """
    import gradio

    from facemask_inpaint.app.page import STYLE

    for _ in range(_ATTEMPTS):
        page = build()
        try:
            _, local, public = page.launch(
                server_name="127.0.0.1",
                server_port=port,
                share=share,
                theme=gradio.themes.Default(font=_FONTS, font_mono="monospace"),
                css=STYLE,
                footer_links=[],
                ssr_mode=False,
                prevent_thread_lock=True,
                quiet=True,
                app_kwargs={"middleware": [_own_hosts(share)]},
            )
        except ValueError as error:
            page.close(verbose=False)
            reason = error
        else:
            return page, [local, public] if public else [local]
    raise FacemaskInpaintError(f"the page cannot be reached on this machine: {reason}") from reason


def _own_hosts(share: bool) -> Middleware:
    """Middleware that refuses requests under host names that are not this page's.

    Another site could otherwise let its own name point to this machine's address and read the page
    through the browser of its visitor (DNS rebinding).
    """
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    hosts = ["127.0.0.1", "localhost", *(["*.gradio.live"] if share else [])]
    return Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)


def require_gradio() -> None:
    """Require a Gradio that the page can be built with.

    Raises:
        MissingDependencyError: it is not installed, or it is too old.
    """
    advice = "pip install 'facemask-inpaint[app]'"
    try:
        version: str = importlib.import_module("gradio").__version__
    except ImportError as error:
        raise MissingDependencyError(f"the page is made with Gradio: {advice}") from error
    if int(version.split(".")[0]) < _OLDEST:
        raise MissingDependencyError(
            f"the page needs Gradio {_OLDEST} or newer, this is {version}: {advice}"
        )


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, and put back what was there before."""
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
