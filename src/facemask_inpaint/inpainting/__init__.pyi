from . import inpainter as inpainter
from . import pretrained as pretrained
from . import strategies as strategies
from .inpainter import Inpainter as Inpainter
