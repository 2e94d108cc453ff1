from . import app as app
from . import benchmark as benchmark
from . import checkpoints as checkpoints
from . import data as data
from . import errors as errors
from . import export as export
from . import images as images
from . import inpainting as inpainting
from . import labels as labels
from . import masks as masks
from . import metrics as metrics
from . import models as models
from . import parsing as parsing
from . import training as training
from . import typing as typing
from . import verification as verification
from .inpainting import Inpainter as Inpainter
from .inpainting import fill as fill
from .masks import MaskClass as MaskClass
from .masks import MixedMaskSampler as MixedMaskSampler
from .masks import SemanticMasker as SemanticMasker

__version__: str
