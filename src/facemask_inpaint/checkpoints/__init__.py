"""Checkpoints as data: reading any published container, folders of our own, fetching files.

No reader imports, executes or calls anything that a file names.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
