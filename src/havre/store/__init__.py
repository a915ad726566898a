"""The only place where the parts meet: transactions with a version check, and an ordered feed of changes.

``ports.py`` is what everyone else imports; only apps knows which adapter stands behind it.
"""
