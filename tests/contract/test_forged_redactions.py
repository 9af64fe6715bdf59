"""A frame is erased and a redaction forged, with every guard in place: nothing believes it, and it is found and named.

Anybody who may write rows can insert one into `redactions`, and the guard of `frames` then lets the payload go.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import Connection, Engine, select, text, update

import recorder
from recorder.audit.evidence.proof import make_proof
from recorder.audit.reading import RecordReader
from recorder.audit.verify.findings import PAYLOAD_ERASED, Finding
from recorder.audit.verify.rebuilding import Rebuilt, damage, rebuild
from recorder.audit.verify.verification import Verification, Wanted
from recorder.errors import NotProven
from recorder.export import export
from recorder.export.checking import ExportCheck
from recorder.export.scope import Scope
from recorder.model import UNDECODED
from recorder.read.record import Filter
from recorder.read.replay.events import ERASED, FrameEvent
from recorder.store import entries, seals
from recorder.store.entries import FramesRedacted
from recorder.store.redactions import sealed_redactions_in
from recorder.store.schema import event_log, order_updates
from recorder.store.schema import seals as seals_table
from tests.contract.chronicle import LONG, MAIN, REDACTED, RUN_3, Chronicle
from tests.contract.conftest import NewUrl
from tests.contract.test_mover import move
from tests.made import NOON_NS, quick_engine, unguard

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_rebuild_keeps_what_is_left_of_it",
    "test_it_is_no_redaction",
)

FRAMES, PER_BATCH = 400, 10
S = 1_000_000_000


def forge(connection: Connection) -> int:
    """Erase an order's frame as a redaction would; the guards let it happen. Returns the frame's number."""
    orders = select(order_updates.c.seq).where(order_updates.c.session_id == LONG).order_by(order_updates.c.seq)
    seq = int(connection.scalar(orders.offset(10).limit(1)) or 0)
    row = {"account": MAIN, "session": LONG, "seq": seq}
    connection.execute(
        text("INSERT INTO redactions VALUES (:account, :session, :seq, :seq, 1, 'somebody', 'no reason')"), row
    )
    emptied = "payload = :nothing, status = 'redacted', error = NULL"
    where = "WHERE account_id = :account AND session_id = :session AND seq = :seq"
    connection.execute(text(f"UPDATE frames SET {emptied} {where}"), {**row, "nothing": b""})
    return seq


def with_a_row(_: Connection, __: FramesRedacted) -> None:
    """A row of `redactions` is all there is."""


def with_an_entry(connection: Connection, entry: FramesRedacted) -> None:
    """An entry is added to the event log, beside those that were sealed."""
    row = {"run": RUN_3, "batch": 9, "body": entries.encode(entry).decode()}
    connection.execute(text("INSERT INTO event_log VALUES (:run, :batch, 0, :body)"), row)


def with_an_entry_in_place_of_another(connection: Connection, entry: FramesRedacted) -> None:
    """An entry that was sealed is overwritten: the chain of seals still follows, for it covers only their root."""
    unguard(connection)
    last = f"SELECT max(batch) FROM event_log WHERE run_id = {RUN_3}"
    row = {"run": RUN_3, "batch": connection.scalar(text(last)), "body": entries.encode(entry).decode()}
    connection.execute(
        text("UPDATE event_log SET body = :body WHERE run_id = :run AND batch = :batch AND item = 0"), row
    )


def with_an_entry_and_new_seals(connection: Connection, entry: FramesRedacted) -> None:
    """So are the seals from there on, but not those of the runs after it."""
    with_an_entry(connection, entry)
    unguard(connection)
    of_run = select(seals_table).where(seals_table.c.run_id == RUN_3).order_by(seals_table.c.batch)
    before = b""
    for row in connection.execute(of_run).all():
        if row.batch >= 9:
            of_batch = event_log.c.run_id == RUN_3, event_log.c.batch == row.batch
            bodies = connection.scalars(select(event_log.c.body).where(*of_batch).order_by(event_log.c.item)).all()
            sql = f"SELECT written_ns, frames FROM batches WHERE run_id = {RUN_3} AND batch = {row.batch}"
            ((written_ns, count),) = connection.exec_driver_sql(sql).all()
            root = seals.entries_root([body.encode() for body in bodies])
            roots = bytes(row.frames_root), root, before
            before = seals.seal_of(RUN_3, row.batch, written_ns, count, len(bodies), *roots)
            here = seals_table.c.run_id == RUN_3, seals_table.c.batch == row.batch
            connection.execute(update(seals_table).where(*here).values(seal=before, entries_root=root))
        else:
            before = bytes(row.seal)


class Forged(NamedTuple):
    """A record with an erased frame, whose typed row is left."""

    url: str
    engine: Engine
    seq: int


@pytest.fixture(
    scope="module", params=[with_a_row, with_an_entry, with_an_entry_in_place_of_another, with_an_entry_and_new_seals]
)
def forged(request: pytest.FixtureRequest, written: Chronicle, new_url: NewUrl) -> Iterator[Forged]:
    """One of each engine, and with each forgery; no test changes it but the last."""
    url = new_url()
    source, engine = quick_engine(written.url), quick_engine(url)
    move(source, engine)
    source.dispose()
    also: Callable[[Connection, FramesRedacted], None] = request.param
    with engine.begin() as connection:
        seq = forge(connection)
        also(connection, FramesRedacted(MAIN, LONG, seq, seq, 1, "somebody", "no reason"))
    yield Forged(url, engine, seq)
    engine.dispose()


def erasures(found: list[Finding]) -> list[tuple[int | None, int | None]]:
    return [(one.session_id, one.seq) for one in found if one.kind == PAYLOAD_ERASED]


MODES = {
    "whole": Wanted(jobs=1),
    "quick": Wanted(quick=True, jobs=1),
    "account": Wanted(MAIN, jobs=1),
    "since": Wanted(since_ns=NOON_NS + 200_000 * S, jobs=1),
    "until, quick": Wanted(until_ns=NOON_NS + 300_000 * S, quick=True, jobs=1),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_verify_names_the_frame(forged: Forged, mode: str) -> None:
    verification = Verification(forged.url, MODES[mode])
    assert (LONG, forged.seq) in erasures(list(verification))
    assert verification.verified.redacted <= REDACTED.frames


def test_rebuild_keeps_what_is_left_of_it(forged: Forged) -> None:
    assert (LONG, forged.seq) in erasures(damage(forged.url)), "so the command rebuilds nothing"
    done = Rebuilt()
    for some in rebuild(forged.url):
        done += some
    assert done.rows == 0
    of_frame = order_updates.c.session_id == LONG, order_updates.c.seq == forged.seq
    with forged.engine.connect() as connection:
        assert connection.execute(select(order_updates).where(*of_frame)).all()


@pytest.mark.parametrize("scope", [Scope(), Scope(Filter(since_ns=NOON_NS + 200_000 * S))], ids=["all", "since"])
def test_an_export_does_not_prove_it(forged: Forged, tmp_path: Path, scope: Scope) -> None:
    with recorder.open(forged.url) as record:
        export(record, tmp_path / "export", ("frames", "redactions"), scope, form="jsonl")
    assert (LONG, forged.seq) in erasures(list(ExportCheck(tmp_path / "export")))
    assert f'"session_id":{LONG}' not in (tmp_path / "export" / "redactions.jsonl").read_text("utf-8")


def test_a_proof_calls_it_changed_and_not_redacted(forged: Forged) -> None:
    with (
        closing(RecordReader(forged.url)) as reader,
        reader.snapshot(),
        pytest.raises(NotProven, match="does not lead to"),
    ):
        make_proof(reader, LONG, forged.seq)


def test_a_replay_says_that_it_was_erased(forged: Forged) -> None:
    with recorder.open(forged.url) as record:
        (event,) = [
            event
            for event in record.replay(since_ns=NOON_NS + 200_000 * S)
            if isinstance(event, FrameEvent) and (event.session_id, event.seq) == (LONG, forged.seq)
        ]
    assert (event.status, event.error, event.payload_is_missing) == (UNDECODED, ERASED, True)


def test_it_is_no_redaction(forged: Forged) -> None:
    with forged.engine.connect() as connection:
        assert not sealed_redactions_in(connection).covers(MAIN, LONG, forged.seq)


def test_where_the_typed_row_is_gone_too(forged: Forged) -> None:
    with forged.engine.begin() as connection:
        connection.execute(order_updates.delete().where(order_updates.c.session_id == LONG))
    assert (LONG, forged.seq) in erasures(list(Verification(forged.url, Wanted(quick=True, jobs=1))))
