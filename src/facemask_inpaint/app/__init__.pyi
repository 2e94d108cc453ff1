from . import page as page
from . import server as server
from . import studio as studio
from .server import serve as serve
from .studio import InpaintingRequest as InpaintingRequest
from .studio import InpaintingResult as InpaintingResult
from .studio import Studio as Studio
from .studio import model_choices as model_choices
