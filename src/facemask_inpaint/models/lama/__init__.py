"""LaMa: large-mask inpainting with Fourier convolutions, and refinement for large images.

Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions", WACV 2022
(arXiv 2109.07161). Official code and weights: github.com/advimman/lama, Apache-2.0.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
