"""From pictures to features: extractors, the reader that applies them, feature sets, statistics."""
