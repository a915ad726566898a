"""Metric math: expressions over time series, read (``syntax``) and computed (``evaluate``, ``functions``)."""
