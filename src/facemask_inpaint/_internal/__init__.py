"""Machinery that no user imports: files, settings, progress bars, the state of PyTorch."""
