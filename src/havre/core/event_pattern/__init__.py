"""The event pattern language: of EventBridge's rules, SNS's filter policies and Lambda's event filters.

The rule of this package: a pattern is compiled once, everything in it is checked then, and it decides on any event in time
that is bounded by pattern and event. What AWS refuses as a pattern is refused, in its words where they are known (AWS adds
the place in the text, which is left out here).
"""

from havre.core.event_pattern.filter_policy import FilterPolicy, compile_filter_policy
from havre.core.event_pattern.model import PatternError, Unreadable
from havre.core.event_pattern.reading import unreadable
from havre.core.event_pattern.tree import Pattern, compile

__all__ = [
    "FilterPolicy",
    "Pattern",
    "PatternError",
    "Unreadable",
    "compile",
    "compile_filter_policy",
    "unreadable",
]
