"""Paired comparison of methods by FID: bootstrap intervals, exchange tests, adjusted p-values."""
