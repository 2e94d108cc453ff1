from . import page as page
from . import serving as serving
from . import studio as studio
from .serving import running as running
from .studio import Answer as Answer
from .studio import Request as Request
from .studio import Studio as Studio
from .studio import model_choices as model_choices
