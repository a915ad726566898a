"""HTTP APIs as their clients see them: ``http://<api>.execute-api.<region>.localhost:<port>/``.

The rule of this package: what a stage serves is its deployment, a snapshot; so a change that is half made is never seen.
"""
