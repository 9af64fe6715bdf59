"""Evidence that a record was not changed: signed checkpoints and proofs, and the verification of a record."""
