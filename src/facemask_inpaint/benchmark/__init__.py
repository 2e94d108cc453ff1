"""Methods × mask classes × resolutions to tables, images and statistics, in one folder.

The way down: :mod:`.runner` goes through the ``stages`` (prepare, predict, score, compare) and ends
with the ``report``. ``diagnostics`` measures single predictions, and ``store`` is the run's folder.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
