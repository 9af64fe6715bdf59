"""Replay a record: its frames in order, with sessions and gaps among them."""
