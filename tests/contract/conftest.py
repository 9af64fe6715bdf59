"""Databases of every backend: what is proved here is proved of each."""

import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.contract import exported
from tests.contract.chronicle import Chronicle, write_chronicle
from tests.made import quick_engine
from tests.server import PostgresServer
from tests.unit.read.desk import Desk

NewUrl = Callable[[], str]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> NewUrl:
    """Makes new databases with the current schema, and gives their addresses."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.new_database
    folder, numbers = tmp_path_factory.mktemp("databases"), count(1)
    return lambda: f"sqlite:///{shutil.copy(sqlite_template, folder / f'{next(numbers)}.db')}"


@pytest.fixture
def url(new_url: NewUrl) -> str:
    """The address of a new database with the current schema."""
    return new_url()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """An engine for it."""
    engine = quick_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def desk(url: str) -> Iterator[Desk]:
    """An empty record with two accounts."""
    desk = Desk(url)
    yield desk
    desk.engine.dispose()


@pytest.fixture(scope="module")
def full(new_url: NewUrl) -> Iterator[Desk]:
    """A record with a bit of everything, to be exported; nobody writes to it."""
    desk = Desk(new_url())
    exported.fill(desk)
    yield desk
    desk.engine.dispose()


@pytest.fixture(scope="module")
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Chronicle:
    """A chronicle, of as many frames as the module says."""
    path = shutil.copy(sqlite_template, tmp_path_factory.mktemp("chronicle") / "chronicle.db")
    return write_chronicle(f"sqlite:///{path}", request.module.FRAMES, request.module.PER_BATCH)


@pytest.fixture
def own(desk: Desk) -> Desk:
    """The same, of a test's own."""
    exported.fill(desk)
    return desk
