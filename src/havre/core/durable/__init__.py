"""Durable executions of functions: their operations, how checkpoints and time change them, what history tells. Pure.

An execution is a function that is run again and again until it is through; what it has done so far is kept as operations,
and each run replays them. The rule of this package: records are never changed in place, and whatever changes is told by
history.
"""
