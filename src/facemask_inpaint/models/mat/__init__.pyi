from . import attention as attention
from . import coarse as coarse
from . import discriminator as discriminator
from . import generator as generator
from . import official as official
from . import refinement as refinement
from .discriminator import Discriminator as Discriminator
from .generator import MAT as MAT
