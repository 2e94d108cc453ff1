from .results import MetricResult as MetricResult
