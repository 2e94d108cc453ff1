"""The inpainter: from images and masks of any form to inpainted images of the same form."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
