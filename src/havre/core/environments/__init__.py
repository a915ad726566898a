"""Execution environments of functions: which one takes an invocation, when one begins, rests and ends, and what it tells.

The rule of this package: it decides and words, pure; who calls it (``control/functions``) carries out what comes back.
"""

from havre.core.environments.fleet import Fleet
from havre.core.environments.members import Member, Phase, Rules, Step, usable

__all__ = ["Fleet", "Member", "Phase", "Rules", "Step", "usable"]
