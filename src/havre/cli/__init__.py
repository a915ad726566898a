"""What a person types: up, down, status, env, demo, explain, coverage, doctor.

The rule of this package: it starts fast (nothing heavy is imported before it is needed), every answer can be had as JSON.
"""
