"""Evidence: what is signed of a record, and what proves it."""
