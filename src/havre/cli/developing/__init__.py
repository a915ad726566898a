"""``havre lambda invoke``, ``logs`` and ``dev``: they speak AWS's API, as any client does."""
