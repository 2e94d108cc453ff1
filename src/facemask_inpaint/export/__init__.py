"""Networks out of Python and back: ONNX graphs that are checked before they are written.

:func:`export_network` writes a folder of graphs and a ``config.json`` that says how to feed them;
:class:`OnnxNetwork` runs such a folder like any other network. Both need the ``onnx`` extra.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
