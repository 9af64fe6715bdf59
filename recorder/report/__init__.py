"""The audit report: one page about what a record holds of a period, and how complete it is."""
