"""RePaint: an unconditional diffusion model of images as an inpainting network.

Lugmayr, Danelljan, Romero, Yu, Timofte and Van Gool, "RePaint: Inpainting using Denoising
Diffusion Probabilistic Models", CVPR 2022 (arXiv 2201.09865). Official code and the weights' place:
github.com/andreas128/RePaint. The denoising network is that of guided-diffusion (arXiv 2105.05233).
"""

from facemask_inpaint.models.repaint.network import RePaint
from facemask_inpaint.models.repaint.schedule import PRESETS, Sampling

__all__ = ["PRESETS", "RePaint", "Sampling"]
