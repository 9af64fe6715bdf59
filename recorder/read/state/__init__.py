"""Latest states: as of an instant, and while a recorder runs."""
