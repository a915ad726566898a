"""Pure validation, defaults and revisions of what users ask of ECS.

The rule: a request in, a record out, or AWS's error. What Havre cannot do is refused by name, never stored and forgotten.
"""
