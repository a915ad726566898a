"""Metrics: distributions of values, statistics of periods, metric math, and what alarms make of them. Pure.

Percentiles are computed from values and how often each was seen: exactly for up to EXACT different values in a data point,
and from logarithmic buckets beyond, whose values are off by at most one per cent (``values.py``).
"""
