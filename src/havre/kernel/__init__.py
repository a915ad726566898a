"""The words that every other package speaks: arn, resource, effects, errors, quantities, world, workload.

The rule of this package: no I/O, no clock, no chance, nothing of any one AWS service, at most 1,000 lines in all.
"""
