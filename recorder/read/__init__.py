"""Asking the record: latest states, histories, fills, gaps, coverage. Reads never write and never wait for the writer."""
