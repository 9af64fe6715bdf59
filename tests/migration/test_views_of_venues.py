"""The views of the venues' channels: which of them a database has, and that a changed one has a revision."""

from hashlib import sha256

import pytest
from sqlalchemy import Engine

from recorder.store import event_log, migrate, venue_views
from recorder.store.entries import AccountAdded
from recorder.venues import VENUES, venue_named
from tests.migration.rows import schema_of, write

ALL_VIEWS = [view for name in VENUES for view in venue_named(name).views]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_file_has_the_views_of_the_venues_it_records(engine: Engine) -> None:
    """Every connection to a file parses its views. An upgrade creates them, too."""

    def venues() -> set[str]:
        return {view.venue for view in ALL_VIEWS if view.name in schema_of(engine)}

    migrate.upgrade(engine, "0001")
    write(engine, "0001")
    migrate.upgrade(engine)
    assert venues() == {"fmex"}
    with engine.begin() as connection:
        for account_id, venue in ((8, "bybit"), (9, "fmex"), (10, "bybit"), (11, "newer")):
            event_log.apply(connection, 5, AccountAdded(account_id, venue, "main", account_id))
    assert venues() == {"fmex", "bybit"}


def test_a_changed_view_of_a_venue_has_a_revision() -> None:
    """Without one, `recorder db upgrade` would not create the view again in existing databases."""
    texts = [f"{view.name} {venue_views._on_sqlite(view)} {venue_views._on_postgresql(view)}" for view in ALL_VIEWS]
    digest = sha256("\n".join(sorted(texts)).encode()).hexdigest()[:16]
    assert (migrate.HEAD, digest) == ("0011", "feb367b02085bc3c")
