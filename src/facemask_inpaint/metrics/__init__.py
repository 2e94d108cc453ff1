"""Metrics of filled faces: FID, P-IDS, U-IDS, KID, PSNR, SSIM, L1, LPIPS and their comparison.

Usable on its own: nothing here knows a network, a mask class or an inpainter.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
