"""Verifying a record against its seals and checkpoints, and rebuilding what is derived from its frames."""
