"""Metrics out of log events: by a metric filter's transformation, and by the embedded metric format. Pure.

The rule here: what an event says can make metrics or not, and never fails.
"""

from havre.core.log_metrics.embedded import MARK, Extracted, extract
from havre.core.log_metrics.model import Measured, plausible
from havre.core.log_metrics.transformation import Transformation, TransformationError

__all__ = ["MARK", "Extracted", "Measured", "Transformation", "TransformationError", "extract", "plausible"]
