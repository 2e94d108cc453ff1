"""From images to features: extractors, the reader that applies them, feature sets, statistics."""
