"""One file per noun; a function per AWS action: check, read, change in a transaction, present."""
