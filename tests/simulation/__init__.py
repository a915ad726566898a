"""The whole control plane on the memory store and fakes, in seeded virtual time."""
