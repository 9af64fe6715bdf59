"""The record out of its database: files that other programs read, and data frames."""
