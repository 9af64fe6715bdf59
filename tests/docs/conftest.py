"""The documentation's record, on both engines."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from recorder.store.engine import open_engine
from recorder.store.mover import Mover
from tests.docs import sample
from tests.docs.__main__ import answerer
from tests.docs.exchange import Truth
from tests.docs.queries import Ask
from tests.made import quick_engine
from tests.server import PostgresServer


class Recorded(NamedTuple):
    """The record, in one engine."""

    url: str
    ask: Ask
    truth: Truth


@pytest.fixture(scope="session")
def sample_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """The record in a file, and what really happened."""
    path = tmp_path_factory.mktemp("sample") / "sample.db"
    return path, sample.make(path)


@pytest.fixture(scope="session")
def on_sqlite(sample_file: tuple[Path, Truth]) -> Iterator[Recorded]:
    """The record in a file."""
    path, truth = sample_file
    engine = open_engine(f"sqlite:///{path}", read_only=True)
    with engine.connect() as connection:
        yield Recorded(f"sqlite:///{path}", answerer(connection), truth)
    engine.dispose()


@pytest.fixture(scope="session")
def on_postgresql(sample_file: tuple[Path, Truth], postgres: PostgresServer) -> Iterator[Recorded]:
    """The record in a server, moved there as a recorder moves it."""
    path, truth = sample_file
    url = postgres.new_database()
    source, target = quick_engine(f"sqlite:///{path}"), quick_engine(url)
    mover = Mover(source, target)
    while mover.step():
        pass
    mover.close()
    source.dispose()
    sample.catch_up(target)
    with target.connect() as connection:
        yield Recorded(url, answerer(connection), truth)
    target.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def recorded(request: pytest.FixtureRequest) -> Recorded:
    """The record, in each engine."""
    found: Recorded = request.getfixturevalue(f"on_{request.param}")
    return found
