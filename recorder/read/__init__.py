"""Asking the record: latest states, histories, fills, gaps, coverage. Reads never write, nor wait."""
