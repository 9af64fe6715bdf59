"""Recorder: a trader's own record of what an exchange said about their account, in SQL."""

__version__ = "0.1.0"
