"""The guards of the journal: nothing in it is changed or deleted, but the payload of a frame that a redaction names."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from recorder.store import event_log
from recorder.store.entries import CheckpointMade, FramesRedacted
from recorder.store.mover import Mover
from tests.contract.conftest import NewUrl
from tests.contract.story import Heard, Teller, Told, contents
from tests.made import ACCOUNT, NOON_NS, quick_engine

JOURNAL = ("frames", "batches", "spans", "event_log", "seals", "checkpoints", "redactions")
EMPTIED = "payload = '', status = 'redacted', error = NULL"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, new_url: NewUrl) -> Iterator[Engine]:
    """A record with a row in each table of the journal, for attempts that change nothing."""
    engine = quick_engine(new_url())
    fill(tmp_path_factory.mktemp("guarded"), sqlite_template, engine)
    yield engine
    engine.dispose()


@pytest.fixture
def record(tmp_path: Path, sqlite_template: Path, engine: Engine) -> Engine:
    """The same, of a test's own."""
    fill(tmp_path, sqlite_template, engine)
    return engine


def fill(folder: Path, template: Path, engine: Engine) -> None:
    teller = Teller(folder / "one.db", template, 1)
    teller.write([Told(at, at) for at in range(1, 9)], [Heard(1, 9, "stopped")])
    mover = Mover(teller.engine, engine)
    while mover.step() is not None:
        pass
    mover.close()
    teller.engine.dispose()
    with engine.begin() as connection:
        session_id = connection.scalar(text("SELECT session_id FROM sessions"))
        recorder_id = connection.scalar(text("SELECT recorder_id FROM recorders"))
        assert session_id is not None and recorder_id is not None
        redacted = FramesRedacted(ACCOUNT, session_id, 2, 3, NOON_NS, "who", "why")
        event_log.apply(connection, recorder_id, redacted)
        event_log.apply(connection, recorder_id, CheckpointMade(recorder_id, 1, NOON_NS, "note", None))


def blank(engine: Engine, change: str) -> str:
    """Empty bytes as each engine writes them."""
    return change.replace("payload = ''", "payload = x''") if engine.dialect.name == "sqlite" else change


def attempt(engine: Engine, statement: str) -> int:
    with engine.begin() as connection:
        return connection.execute(text(blank(engine, statement))).rowcount


@pytest.mark.parametrize("table", JOURNAL)
@pytest.mark.parametrize("change", ["DELETE FROM {0}", "UPDATE {0} SET {1} = {1}", "TRUNCATE {0}"])
def test_nothing_is_changed_or_deleted(guarded: Engine, table: str, change: str) -> None:
    record = guarded
    column = {"checkpoints": "size", "redactions": "why"}.get(table, "run_id" if table != "frames" else "received_ns")
    before = contents(record)
    assert before[table], "a trigger of rows that are not there refuses nothing"
    if change.startswith("TRUNCATE") and record.dialect.name == "sqlite":
        change = "DELETE FROM {0} WHERE true"
    with pytest.raises(DBAPIError, match=f"{table} is journal: nothing in it is changed or deleted"):
        attempt(record, change.format(table, column))
    assert contents(record) == before


@pytest.mark.parametrize(
    "change",
    [
        f"{EMPTIED}, received_ns = received_ns + 1",
        f"{EMPTIED}, source = 'sent'",
        f"{EMPTIED}, seq = seq + 100",
        f"{EMPTIED}, topic = 'another'",
        "payload = '', status = 'decoded', error = NULL",
        "payload = '', status = 'redacted', error = 'words'",
    ],
)
def test_of_a_redacted_frame_only_the_payload_may_go(guarded: Engine, change: str) -> None:
    with pytest.raises(IntegrityError):
        attempt(guarded, f"UPDATE frames SET {change} WHERE seq = 2")


def test_a_frame_that_no_redaction_names_keeps_its_payload(record: Engine) -> None:
    assert attempt(record, f"UPDATE frames SET {EMPTIED} WHERE seq IN (2, 3)") == 2
    for seq in (1, 4):
        with pytest.raises(IntegrityError):
            attempt(record, f"UPDATE frames SET {EMPTIED} WHERE seq = {seq}")


def test_a_redaction_takes_what_followed_from_the_frames_too(record: Engine) -> None:
    found = contents(record)
    assert [(row.seq, row.status, bytes(row.payload)) for row in found["frames"] if row.status == "redacted"] == [
        (2, "redacted", b""),
        (3, "redacted", b""),
    ]
    assert {row.seq for row in found["order_updates"]} == {1, 4, 5, 6, 7, 8}
