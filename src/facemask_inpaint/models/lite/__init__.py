"""The compact network whose weights ship with the library.

This library's own design, for small aligned faces. A normal distribution over faces gives a
probable face around what is known, and a pyramid spreads into the hole by how much the known pixels
differ from it: that settles place, tone and light at next to no cost. A U-Net decides about
components at half the image's side, where all of a face is in reach, and attends globally where
its map is smallest: one eye knows of the other. A few convolutions then add detail, up to the full
side.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
