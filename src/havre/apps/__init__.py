"""Composition roots, one process each: what runs in it, which adapter stands behind which port, every loop it has.

The rule of this package: nothing is decided here; things are made and put together.
"""
