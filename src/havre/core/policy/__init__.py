"""IAM policies: parse, validate, compile once, decide.

The promise: a decision is what AWS's documentation says it is. An explicit deny wins over everything; without an allow
the answer is no; a boundary and a session policy only ever take away; another account's resource needs a yes from both
sides. What a policy says and this package does not know is refused when the policy is written, never skipped.
"""

from havre.core.policy.document import Policy, parse
from havre.core.policy.evaluate import ALLOW_ALL, Decision, Grants, Matched, decide
from havre.core.policy.grammar import PolicyError
from havre.core.policy.positions import positions
from havre.core.policy.statement import Context, Question, Who

__all__ = [
    "ALLOW_ALL",
    "Context",
    "Decision",
    "Grants",
    "Matched",
    "Policy",
    "PolicyError",
    "Question",
    "Who",
    "decide",
    "parse",
    "positions",
]
