"""From a photo to a label map: face parsers, and the way from ordinary photos to their crops."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
