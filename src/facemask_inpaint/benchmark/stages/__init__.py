"""The stages of a benchmark in their order: prepare, predict, score, compare."""
