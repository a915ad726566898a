"""Load balancers by HAProxy: one proxy for all balancers of this instance, started with the first and never before.

The rule of this package: a change of targets is never a reload (they come and go in server slots, by the runtime API);
a change of listeners, rules or pools is a reload that hands the listening sockets over; no request is lost in either.
Health is decided here and not by the proxy, so that a target's state is Amazon's to the letter; the proxy is told who
gets work. ``config.py``, ``rules.py``, ``patterns.py``, ``slots.py`` and ``health.py`` are pure.
"""

from havre.engines.haproxy.engine import HaproxyEngine

__all__ = ["HaproxyEngine"]
