"""TLS certificates, as services share them: what ACM and IAM keep, load balancers and domain names present.

The rule of this package: a private key is in two places only, the store's record of its certificate (KEY_PAIR) and what a
node is told to present; no answer, log or reason has it. ``reading.py`` and ``authority.py`` import cryptography when they
are first called, so that a process that has no certificate does not load it.
"""
