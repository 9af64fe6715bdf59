"""Which periods a record covers, and which it does not."""
