"""A local page in the browser: mark what to hide in a portrait, fill it, compare, download.

The work is done by :class:`Studio`, which knows no browser; :func:`serve` puts a page in front
of it, with Gradio (the ``app`` extra).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
