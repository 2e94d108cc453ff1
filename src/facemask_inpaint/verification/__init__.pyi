from . import consistency as consistency
from . import hidden_pixels as hidden_pixels
from . import published_examples as published_examples
from . import published_files as published_files
from .consistency import SelfConsistency as SelfConsistency
from .consistency import self_consistency as self_consistency
from .hidden_pixels import HiddenPixelInfluence as HiddenPixelInfluence
from .hidden_pixels import hidden_pixel_influence as hidden_pixel_influence
