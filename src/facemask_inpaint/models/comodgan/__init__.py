"""Co-Mod-GAN: a StyleGAN2 generator whose styles come from the image and a latent alike.

Zhao et al., "Large Scale Image Completion via Co-Modulated Generative Adversarial Networks",
ICLR 2021 (arXiv 2103.10428). Official code and weights: github.com/zsyzzsoft/co-mod-gan, for
TensorFlow, with parts under NVIDIA's non-commercial licence.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
