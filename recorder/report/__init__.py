"""The audit report: one page for a person, of what a record holds of a period and how complete it is."""
