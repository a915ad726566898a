"""What makes ECS's wishes true: observe, decide, act, for one task, service, cluster or definition at a time.

The rule: decisions are pure (``life.py`` and ``core/deployment``); everything that reaches out is an executor here.
"""
