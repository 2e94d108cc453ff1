"""A local page in the browser: mark what to hide in a portrait, inpaint it, compare, download.

The work is done by :class:`Studio`, which knows nothing of the browser; :func:`serve` puts a page
in front of it, built with Gradio (the ``app`` extra).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
