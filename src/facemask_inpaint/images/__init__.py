"""Images and masks of any type, to tensors and back.

Inside the library an image is a float tensor ``(3, H, W)`` in [-1, 1] and a mask a bool tensor
``(H, W)`` with True = hole. This package converts what users have to that and back without changing
a known pixel. Nothing else in the library knows PIL modes, file formats and value ranges.
"""

import lazy_loader
import numpy  # noqa: F401  it changes warning filters: here, not when a thread first reads an image

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
