"""Hole masks: whole facial components from label maps, random free-form shapes, and both mixed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
