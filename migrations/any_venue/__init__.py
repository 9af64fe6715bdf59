"""What revision 0002 changes: typed tables that carry any venue, the projections, and the views.

Typed rows follow from the frames, so the old ones are dropped; `rebuild_needed` says that they have to be made again,
which `recorder db upgrade` does. Frames, event log and seals are not touched.

A released revision is never edited, and imports nothing from the program: the declared schema moves on.
"""

from . import history, projections, rounds, statistics, streams, tables, transactions, views


def upgrade() -> None:
    """Replace tables and views."""
    tables.drop_old()
    tables.create()
    streams.create()
    rounds.create()
    projections.create()
    history.create()
    transactions.create()
    views.create()
    statistics.create()
