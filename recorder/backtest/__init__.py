"""Into backtests: a record in the form that each of the field's packages takes. Every package is an optional extra."""
