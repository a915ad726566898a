"""AWS's actions, one file a noun."""
