"""One file per noun; a function per AWS action: check, read, change specs in one transaction, present."""
