from . import blocks as blocks
from . import colour_range as colour_range
from . import face_prior as face_prior
from . import generator as generator
from . import pyramid_fill as pyramid_fill
from .face_prior import FacePrior as FacePrior
from .generator import Lite as Lite
