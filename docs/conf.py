"""Sphinx configuration; warnings are errors (`make docs`)."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from facemask_inpaint import __version__

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "facemask_inpaint"
author = project_copyright = "The facemask_inpaint developers"
release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "commands",
    "figures",
    "label_tables",
    "layers",
    "metric_table",
    "reference",
    "zoo",
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_mock_imports = [name for name in ("gradio",) if find_spec(name) is None]
napoleon_google_docstring = True
suppress_warnings = ["ref.python"]  # short names in annotations that two modules share
html_theme = "furo"
html_title = "facemask_inpaint"
html_static_path = ["_static"]
html_css_files = ["guides.css"]
html_js_files = ["copy.js"]
exclude_patterns = ["_build", "_generated"]


def without_tuple_fields(
    app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any
) -> bool | None:
    """Leave the fields of named tuples to the class's own ``Attributes`` section."""
    return True if type(member).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> None:
    """Connect what is above."""
    app.connect("autodoc-skip-member", without_tuple_fields)
