"""Interpreting pickles as data: no name is looked up, nothing that a file names is called."""
