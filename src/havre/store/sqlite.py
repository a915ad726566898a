"""A store on SQLite."""
