"""Inpaint faces under semantic masks: mask, inpaint, measure, retrain.

Everything here is lazy: importing the package imports neither torch nor any network.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"
