from . import bundled as bundled
from .bundled import SAMPLE_SIZES as SAMPLE_SIZES
from .bundled import Sample as Sample
from .bundled import sample as sample
