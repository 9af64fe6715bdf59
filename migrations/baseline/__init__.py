"""What revision 0001 creates: tables, the guards of the journal, and the views.

A released revision is never edited, and imports nothing from the program: the declared schema moves on.
"""

from . import guards, questions, states, tables


def create() -> None:
    """Create all of it, in an empty database."""
    tables.create()
    guards.create()
    states.create()
    questions.create()
