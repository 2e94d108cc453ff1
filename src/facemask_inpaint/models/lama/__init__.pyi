from . import generator as generator
from . import refinement as refinement
from .generator import LaMa as LaMa
from .refinement import Refinement as Refinement
