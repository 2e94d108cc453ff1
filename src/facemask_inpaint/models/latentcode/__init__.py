"""Latent-code inpainting: a transformer fills in the codes of what the hole hides.

Chen and Zhao, "Don't Look into the Dark: Latent Codes for Pluralistic Image Inpainting", CVPR
2024 (arXiv 2403.18186). Official code and weights: github.com/nintendops/latent-code-inpainting;
the licence file is MIT, the README restricts code and models to research.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
