"""Reads of a file that is none, or that somebody else writes to."""

import gc
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

import recorder
from recorder.errors import ConfigurationError, DatabaseError, NotOurs, SchemaTooNew
from recorder.read.reads import ROWS_PER_FETCH
from recorder.store import migrate
from recorder.store.engine import open_engine
from tests.made import received
from tests.unit.read.desk import Desk


def path_of(desk: Desk) -> Path:
    return Path(desk.url.removeprefix("sqlite:///"))


def test_no_read_can_write(desk: Desk) -> None:
    desk.order(1)
    before = path_of(desk).read_bytes()
    with desk.open() as record:
        for statement in (
            "DELETE FROM frames",
            "CREATE TABLE x (a INT)",
            "PRAGMA user_version=5",
            "DROP VIEW timeline",
        ):
            with (
                pytest.raises(OperationalError, match="attempt to write a readonly database"),
                record._engine.connect() as connection,
            ):
                connection.execute(text(statement))
        assert len(list(record.orders())) == 1
    assert path_of(desk).read_bytes() == before


def test_an_iteration_that_is_left_lets_go_of_the_database(desk: Desk) -> None:
    desk.write(*[received(seq) for seq in range(2 * ROWS_PER_FETCH)])
    with desk.open() as record:
        for _ in record.order_history():
            break
        next(record.fills(), None)
    gc.collect()
    with sqlite3.connect(path_of(desk)) as database:
        # Nobody reads any more: the whole log can be taken over and cut.
        assert database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    database.close()


def test_there_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(
        DatabaseError, match=r"There is no database at .*recorder\.db; `recorder run` makes one, or name"
    ):
        recorder.open(f"sqlite:///{tmp_path / 'recorder.db'}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["recorder.db", "mysql://u:hidden@h/db", "sqlite://", "sqlite:///x?mode=rw", "://"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"write for example .*sqlite:///recorder\.db") as raised:
        recorder.open(url)
    assert "hidden" not in str(raised.value)


def test_a_file_that_is_no_record(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    url = f"sqlite:///{path}"
    path.write_bytes(b"")
    with pytest.raises(DatabaseError, match="The database is empty; `recorder run` or `recorder db upgrade`"):
        recorder.open(url)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(NotOurs, match="is not a SQLite database; name another file"):
        recorder.open(url)
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE orders (a INT)")
    database.close()
    with pytest.raises(NotOurs, match="belongs to another program"):
        recorder.open(url)
    path.unlink()
    path.mkdir()
    with pytest.raises(DatabaseError, match="is a folder; name a file in it"):
        recorder.open(url)


def test_a_record_of_another_version(tmp_path: Path, desk: Desk) -> None:
    older = f"sqlite:///{tmp_path / 'older.db'}"
    engine = open_engine(older)
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE credentials"))
    with pytest.raises(NotOurs, match="from before the first release"):
        recorder.open(older)
    with desk.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew, match="made by a newer recorder"):
        desk.open()
