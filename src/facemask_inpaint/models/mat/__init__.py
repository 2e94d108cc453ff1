"""MAT: a mask-aware transformer with a StyleGAN2 decoder, and its discriminator.

Li et al., "MAT: Mask-Aware Transformer for Large Hole Image Inpainting", CVPR 2022
(arXiv 2203.15270). Official code and weights: github.com/fenglinglwb/MAT, CC BY-NC 4.0 (not for
commercial use).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
