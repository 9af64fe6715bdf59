"""Typed rows made again from their frames: row for row what was there, and nothing else is touched."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text, update
from sqlalchemy.exc import DBAPIError

import recorder
from recorder.audit.verify import rebuilding
from recorder.audit.verify.findings import FRAME_CHANGED
from recorder.audit.verify.rebuilding import Rebuilt, damage, rebuild
from recorder.audit.verify.verification import Verification, Wanted
from recorder.model import PUSH, REDACTED, Decoded
from recorder.store.schema import TYPED, frames, order_updates, snapshots
from recorder.store.snapshots import Snapshots, make_all
from recorder.venues.base import Venue
from recorder.venues.reading import read_frame, undecoded
from tests.contract.chronicle import FIRST, LONG, MAIN, OTHER, Chronicle, write_chronicle
from tests.contract.story import contents
from tests.contract.test_mover import move
from tests.depth import size
from tests.made import quick_engine, unguard

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_all_typed_rows_are_made_again_row_for_row",
    "test_the_guard_lets_through_what_is_read_and_nothing_that_is_sealed",
)

FRAMES, PER_BATCH = size(2_000), 30


@pytest.fixture
def record(written: Chronicle, engine: Engine) -> Iterator[Engine]:
    """A record with a bit of everything, on each engine."""
    source = quick_engine(written.url)
    move(source, engine)
    source.dispose()
    yield engine


def rebuilt(url: str, account_id: int | None = None) -> Rebuilt:
    assert damage(url) == []
    done = Rebuilt()
    for some in rebuild(url, account_id):
        done += some
    return done


def findings(url: str) -> list[object]:
    return list(Verification(url, Wanted(jobs=1)))


def change(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            assert connection.execute(text(statement)).rowcount > 0, statement


def test_where_all_is_right_nothing_is_written(record: Engine, url: str) -> None:
    before = contents(record)
    assert rebuilt(url) == Rebuilt()
    assert contents(record) == before


def test_all_typed_rows_are_made_again_row_for_row(record: Engine, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "FRAMES_PER_TRANSACTION", 100)
    before = contents(record)
    rows = sum(len(before[table.name]) for table in TYPED.values())
    assert rows > FRAMES
    change(record, *(f"DELETE FROM {table.name}" for table in TYPED.values() if before[table.name]))
    done = rebuilt(url)
    assert (done.rows, done.read_anew, done.left) == (rows, 0, 0)
    assert contents(record) == before
    assert findings(url) == []


@pytest.mark.parametrize(
    "edit",
    [
        f"UPDATE order_updates SET status = 'PENDING', fee = NULL WHERE session_id = {LONG} AND seq < 500",
        f"UPDATE account_updates SET available = '1' WHERE session_id = {LONG}",
        f"UPDATE position_updates SET received_ns = received_ns + 1 WHERE account_id = {MAIN}",
        f"DELETE FROM fills WHERE account_id = {MAIN}",
        f"DELETE FROM heartbeats WHERE account_id = {MAIN}",
        f"INSERT INTO heartbeats VALUES ({MAIN}, {LONG}, 100000, 0, 5, 1, 0, 1)",
        f"INSERT INTO heartbeats VALUES ({MAIN}, {LONG + 1}, 0, 0, 5, 1, 0, 1)",
        f"INSERT INTO heartbeats VALUES ({MAIN}, {LONG}, 51, 7, 5, 1, 0, 1)",
        f"UPDATE frames SET topic = 'another', status = 'undecoded', error = 'words' WHERE session_id = {LONG} "
        "AND source = 'push' AND seq BETWEEN 10 AND 20",
    ],
)
def test_what_was_edited_is_as_it_was(record: Engine, url: str, edit: str) -> None:
    before = contents(record)
    change(record, edit)
    assert findings(url) != []
    done = rebuilt(url)
    assert done.frames > 0
    assert done.left == 0
    assert contents(record) == before
    assert findings(url) == []
    assert rebuilt(url) == Rebuilt()


def test_only_one_account(record: Engine, url: str) -> None:
    before = contents(record)
    change(record, "DELETE FROM order_updates", "DELETE FROM account_updates")
    rebuilt(url, OTHER)
    assert {row[0] for row in contents(record)["order_updates"]} <= {OTHER}
    rebuilt(url, MAIN)
    assert contents(record) == before


def test_what_an_older_decoder_could_not_read_is_read_anew(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def older(venue: Venue, payload: bytes) -> Decoded:
        return undecoded("too new") if payload.startswith(b'{"type":"order') else read_frame(venue, payload)

    old, new = (shutil.copy(sqlite_template, tmp_path / f"{name}.db") for name in ("old", "new"))
    with monkeypatch.context() as patch:
        patch.setattr("tests.contract.chronicle.read_frame", older)
        write_chronicle(f"sqlite:///{old}", 300, PER_BATCH)
    write_chronicle(f"sqlite:///{new}", 300, PER_BATCH)
    old_engine, new_engine = quick_engine(f"sqlite:///{old}"), quick_engine(f"sqlite:///{new}")
    assert LONG not in {row[1] for row in contents(old_engine)["order_updates"]}
    done = rebuilt(f"sqlite:///{old}")
    assert done.read_anew > 100
    assert findings(f"sqlite:///{old}") == []
    read, reads = ([row for row in contents(one)["frames"] if row[6] != REDACTED] for one in (old_engine, new_engine))
    assert [row for row in read if row[4] == PUSH] == [row for row in reads if row[4] == PUSH]
    assert contents(old_engine)["order_updates"] == contents(new_engine)["order_updates"]
    for engine in (old_engine, new_engine):
        engine.dispose()


def test_what_was_known_at_an_instant_is_reckoned_anew(record: Engine, url: str) -> None:
    with record.connect() as connection:
        list(make_all(connection, Snapshots(50, 0)))
        assert connection.execute(select(snapshots)).all()
    with recorder.open(url) as reads:
        at_ns = max(order.received_ns for order in reads.order_history())
        before = list(reads.as_of(at_ns).open_orders()), list(reads.as_of(at_ns).balances())
    change(record, f"UPDATE order_updates SET status = 'FULLY_FILLED' WHERE session_id = {LONG}")
    with record.begin() as connection:  # and what was noted since points to that
        connection.exec_driver_sql("DELETE FROM snapshot_rows")
        connection.exec_driver_sql("DELETE FROM snapshots")
    with record.connect() as connection:
        list(make_all(connection, Snapshots(50, 0)))
    rebuilt(url)
    with recorder.open(url) as reads:
        assert (list(reads.as_of(at_ns).open_orders()), list(reads.as_of(at_ns).balances())) == before


def test_a_journal_that_was_changed_is_damage(record: Engine, url: str) -> None:
    with record.begin() as connection:
        unguard(connection)
        connection.execute(
            update(frames).where(frames.c.session_id == LONG, frames.c.seq == 20).values(payload=b"{}", topic=None)
        )
    assert [found.kind for found in damage(url)] == [FRAME_CHANGED]


def test_the_guard_lets_through_what_is_read_and_nothing_that_is_sealed(record: Engine) -> None:
    before = contents(record)
    mine = f"WHERE session_id = {LONG} AND seq = 20"
    for changed in (
        "status = 'control', session_id = session_id + 1",
        "status = 'control', received_ns = received_ns + 1",
        "status = 'control', source = 'rest'",
        "status = 'control', seq = seq + 100000",
        "status = 'redacted'",
        "topic = topic",
    ):
        with pytest.raises(DBAPIError, match="frames is journal"), record.begin() as connection:
            connection.execute(text(f"UPDATE frames SET {changed} {mine}"))
    other = update(frames).where(frames.c.session_id == LONG, frames.c.seq == 20).values(status="control", payload=b"x")
    with pytest.raises(DBAPIError, match="frames is journal"), record.begin() as connection:
        connection.execute(other)
    with pytest.raises(DBAPIError, match="frames is journal"), record.begin() as connection:
        connection.execute(text("UPDATE frames SET topic = 'x' WHERE source = 'rest'"))
    redacted = f"WHERE session_id = {FIRST} AND status = 'redacted'"
    with pytest.raises(DBAPIError, match="frames is journal"), record.begin() as connection:
        connection.execute(text(f"UPDATE frames SET status = 'undecoded' {redacted}"))
    assert contents(record) == before


def test_a_rebuilding_that_is_broken_off_goes_on(record: Engine, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "FRAMES_PER_TRANSACTION", 50)
    before = contents(record)
    change(record, "DELETE FROM order_updates")
    under_way = rebuild(url)
    next(under_way)
    next(under_way)
    under_way.close()
    with record.connect() as connection:
        some = len(connection.execute(select(order_updates)).all())
    assert 0 < some < len(before["order_updates"])
    rebuilt(url)
    assert contents(record) == before


def test_a_frame_that_is_erased_meanwhile_keeps_its_rows(
    record: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "FRAMES_PER_TRANSACTION", 1)
    change(record, f"UPDATE order_updates SET fee = NULL WHERE session_id = {LONG}")
    with record.connect() as connection:
        orders = select(order_updates.c.seq).where(order_updates.c.session_id == LONG).order_by(order_updates.c.seq)
        last = connection.scalars(orders).all()[-1]
    with record.begin() as connection:
        unguard(connection)
    under_way = rebuild(url)
    next(under_way)
    with record.begin() as connection:
        emptied = update(frames).where(frames.c.session_id == LONG, frames.c.seq == last)
        connection.execute(emptied.values(payload=b"", status=REDACTED))
    done = Rebuilt()
    for some in under_way:
        done += some
    assert done.left == 1
    with record.connect() as connection:
        assert last in connection.scalars(orders).all()
