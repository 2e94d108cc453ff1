"""Inpainting networks: a registry of names, and one lazily imported module per architecture."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
