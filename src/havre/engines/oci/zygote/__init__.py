"""A process that makes sandboxes by forking itself: in Havre's interpreter, or warmed up in a runtime's own.

The rule of this package: it runs by itself, as root, in interpreters that have no Havre, and imports nothing but the
standard library and itself. ``MODULES`` are handed over as open files, in the order in which one needs the other.
"""

MODULES = ("calls", "forks", "sandbox", "warm", "serve")
