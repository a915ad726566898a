"""Invocation of functions: who may run now, what is tried again and when, what is told to whom. Pure.

The rule of this package: time and chance come in as arguments, payloads pass through as bytes and are never taken apart.
"""
