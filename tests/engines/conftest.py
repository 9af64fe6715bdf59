"""One record, in SQLite and in PostgreSQL, and what was exported from each."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from recorder.export import export
from recorder.read.projector import project_all
from tests.engines import story
from tests.server import PostgresServer
from tests.unit.read.desk import Desk


class Recorded(NamedTuple):
    """A record, and its export as Parquet."""

    desk: Desk
    folder: Path
    fills: list[story.Fill]


def _recorded(place: str | Path, folder: Path) -> Recorded:
    desk = Desk(place)
    fills = story.write(desk)
    with desk.engine.connect() as connection:
        for _ in project_all(connection):
            pass
    with desk.open() as record:
        export(record, folder)
    return Recorded(desk, folder, fills)


@pytest.fixture(scope="session")
def in_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """In a file."""
    folder = tmp_path_factory.mktemp("engines")
    found = _recorded(folder / "recorder.db", folder / "export")
    yield found
    found.desk.engine.dispose()


@pytest.fixture(scope="session")
def in_postgresql(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """In a server's database."""
    found = _recorded(postgres.new_database(), tmp_path_factory.mktemp("engines") / "export")
    yield found
    found.desk.engine.dispose()
