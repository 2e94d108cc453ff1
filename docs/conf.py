"""Sphinx configuration; warnings are errors (`make docs`)."""

from facemask_inpaint import __version__

project = "facemask_inpaint"
author = "The facemask_inpaint developers"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
html_theme = "furo"
html_title = "facemask_inpaint"
exclude_patterns = ["_build"]
