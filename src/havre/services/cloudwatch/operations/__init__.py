"""One file per noun; a function per AWS action."""
