from . import coarse as coarse
from . import generator as generator
from . import official as official
from . import refinement as refinement
from . import windows as windows
from .generator import CMT as CMT
