"""Books: what each balance changed by, and what explains it."""
