"""Durable executions: functions that are run until they are through, over any number of runs, crashes and restarts.

The rule of this package: what a checkpoint acknowledges is on disk, an execution is changed by ``Executions`` alone, and
a run is shown only what is on disk.
"""
