"""Havre: Container as a Service, wire-compatible with AWS, on machines of one's own."""

__version__ = "0.1.0"
