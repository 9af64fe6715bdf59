"""What revision 0002 changes: typed tables that carry any venue, the projections, and the views.

Typed rows follow from the frames, so the old ones are dropped; `rebuild_needed` says that they have to be made again,
which `recorder db upgrade` does. Frames, event log and seals are not touched.

A released revision is never edited, and imports nothing from the program: the declared schema moves on.
"""

from alembic import op

from . import (
    bybit_views,
    fmex_views,
    history,
    hyperliquid_views,
    projections,
    rounds,
    statistics,
    streams,
    tables,
    transactions,
    venue_views,
    views,
)

#: The views of each venue's channels.
VENUE_VIEWS = (*fmex_views.VIEWS, *bybit_views.VIEWS, *hyperliquid_views.VIEWS)


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
    venue_views.create(op.get_bind(), VENUE_VIEWS)
    statistics.create()
