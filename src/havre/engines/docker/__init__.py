"""Adapter (see engines/ports.py)."""
