from . import generator as generator
from . import official as official
from .generator import CoModGAN as CoModGAN
