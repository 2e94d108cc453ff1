from . import against as against
from . import app as app
from . import benchmark as benchmark
from . import certificate as certificate
from . import checkpoints as checkpoints
from . import data as data
from . import errors as errors
from . import images as images
from . import masks as masks
from . import metrics as metrics
from . import models as models
from . import parsing as parsing
from . import training as training
from .inpainter import Inpainter as Inpainter
from .masks import MaskClass as MaskClass
from .masks import MixedMaskSampler as MixedMaskSampler
from .masks import SemanticMasker as SemanticMasker

__version__: str
