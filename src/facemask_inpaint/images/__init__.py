"""Pictures and masks of every kind, to tensors and back: all that knows PIL, NumPy and ranges.

Inside the library a picture is a float tensor ``(3, H, W)`` in [-1, 1] and a mask a bool tensor
``(H, W)`` with True = hole. This package turns what users have into that and back without
touching a known pixel.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
