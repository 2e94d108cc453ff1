"""CMT: a transformer that carries a continuous mask beside its tokens, and a refinement.

Ko and Kim, "Continuously Masked Transformer for Image Inpainting", ICCV 2023. Official code and
weights: github.com/keunsoo-ko/CMT, without a licence.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
