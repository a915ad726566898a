"""A module per kind of work that goes on when nobody asks."""
