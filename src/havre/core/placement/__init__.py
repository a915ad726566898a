"""Placement: which machine runs a task, and why the others do not.

The rule: data in, data out. Filters refuse, each with its reason; strategies rank what is left. ``Machine`` and
``Place`` carry running totals, so that a decision never walks over tasks: placing is O(machines) for one task and
O(log machines) for each further one of the same kind.
"""

from havre.core.placement.choose import Refusal, place, suits
from havre.core.placement.model import Constraint, Demand, Machine, Place, Strategy
from havre.core.placement.query import Expression, QueryError, parse

__all__ = [
    "Constraint",
    "Demand",
    "Expression",
    "Machine",
    "Place",
    "QueryError",
    "Refusal",
    "Strategy",
    "parse",
    "place",
    "suits",
]
