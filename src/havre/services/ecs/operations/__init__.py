"""One file per noun: check, read, change spec in a transaction, present."""
