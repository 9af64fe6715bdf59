"""Databases on both engines, and a next version of this program."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from recorder.store import migrate
from recorder.store.engine import open_engine
from tests.server import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database: a file that does not exist yet, or on PostgreSQL one with the current schema."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'recorder.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """An engine for it."""
    engine = open_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def next_version(next_migrations: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This program, with the next version's migrations."""
    monkeypatch.setattr(migrate, "migrations_folder", lambda: next_migrations)
    monkeypatch.setattr(migrate, "HEAD", "next")
