"""A module per noun; a function per action."""
