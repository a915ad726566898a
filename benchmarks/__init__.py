"""One script per promise in docs/SPECIFICATION.md. Each measures Havre and its peer side by side, in one run, as a ratio."""
