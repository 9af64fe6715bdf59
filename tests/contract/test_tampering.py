"""Whatever somebody edits in a record, in plain SQL and with the guards taken away: `verify` finds it, and names it.

One record of 100,000 frames on each engine; each edit in a copy of its own. Place must be just what is expected: an
edit that is found three times over is as hard to read as one that is not found.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Connection, Engine, text

from recorder.audit.evidence.checkpoint import read_checkpoint
from recorder.audit.verify.chain import Claim
from recorder.audit.verify.findings import Finding
from recorder.audit.verify.verification import Verification, Wanted
from recorder.model import REDACTED as EMPTIED
from recorder.model import Frame
from recorder.store.schema import TYPED, TYPED_KEY, account_updates, metadata
from recorder.store.seals import frame_digests
from tests.contract.chronicle import (
    BESIDE,
    COMPARED,
    CRASHED,
    FIRST,
    LAST,
    LONG,
    MAIN,
    OTHER,
    REDACTED,
    ROUND,
    RUN_1,
    RUN_2,
    RUN_3,
    RUN_5,
    Chronicle,
    seal_anew,
    write_chronicle,
)
from tests.contract.test_mover import move
from tests.made import quick_engine, unguard
from tests.server import PostgresServer

#: Edits of each kind of table, which `make test` tries on PostgreSQL too; `make test-all` tries all of them there.
ON_POSTGRESQL = (
    "test_nothing_is_found_where_nothing_was_edited",
    *(
        f"test_an_edit_is_found_and_its_place_named[postgresql-1000-{name}]"
        for name in (
            "one_digit_of_a_price",
            "a_time_of_receipt",
            "a_frame_passed_off_as_unreadable",
            "a_typed_row_is_removed",
            "a_typed_row_without_a_frame",
            "an_entry_is_changed",
            "a_gap_is_closed",
            "a_discrepancy_is_removed",
            "a_run_is_said_to_be_anothers",
            "the_note_of_a_checkpoint",
            "frames_taken_out_with_all_seals_made_anew",
        )
    ),
)
#: Findings about one edit, at most: it must stay readable.
FINDINGS_MAX = 6


class Place(NamedTuple):
    """Where a finding must be; None: anywhere."""

    table: str | None = None
    session_id: int | None = None
    seq: int | None = None
    last_seq: int | None = None
    run_id: int | None = None
    batch: int | None = None


Expected = list[Place]
Edit = Callable[["Hand"], Expected]


class Hand:
    """Edits a record.

    Args:
        connection: to the record, with the guards removed.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def sql(self, statement: str, **values: Any) -> list[Any]:
        """Run a statement."""
        result = self._connection.execute(text(statement), values)
        return list(result) if result.returns_rows else []

    def one(self, statement: str, **values: Any) -> Any:
        """The one value it gives."""
        ((value,),) = self.sql(statement, **values)
        return value

    def order(self, nth: int = 20, session_id: int = LONG) -> int:
        """The number of an order's frame, in the middle of somewhere."""
        orders = "SELECT seq FROM order_updates WHERE session_id = :session ORDER BY seq LIMIT 1 OFFSET :nth"
        return int(self.one(orders, session=session_id, nth=nth))

    def batch_of(self, seq: int, session_id: int = LONG) -> int:
        """The batch that holds a frame."""
        within = "SELECT batch FROM spans WHERE session_id = :session AND :seq BETWEEN first_seq AND last_seq"
        return int(self.one(within, session=session_id, seq=seq))

    def frame(self, change: str, seq: int, session_id: int = LONG, **values: Any) -> None:
        """Change a frame."""
        where = "WHERE session_id = :session AND seq = :seq"
        self.sql(f"UPDATE frames SET {change} {where}", session=session_id, seq=seq, **values)

    def rows(self, change: str, seq: int, session_id: int = LONG, **values: Any) -> None:
        """Change the typed rows of a frame."""
        for table in TYPED.values():
            where = "WHERE session_id = :session AND seq = :seq"
            self.sql(f"UPDATE {table.name} SET {change} {where}", session=session_id, seq=seq, **values)

    def remove(self, first: int, last: int, session_id: int = LONG, *, rows: bool = True) -> None:
        """Remove frames, and what followed from them."""
        for table in ("frames", *(table.name for table in TYPED.values() if rows)):
            where = "WHERE session_id = :session AND seq BETWEEN :first AND :last"
            self.sql(f"DELETE FROM {table} {where}", session=session_id, first=first, last=last)

    def payload(self, seq: int, session_id: int = LONG) -> bytes:
        """The bytes of a frame."""
        where = "WHERE session_id = :session AND seq = :seq"
        return bytes(self.one(f"SELECT payload FROM frames {where}", session=session_id, seq=seq))

    def seal_anew(self) -> None:
        """Make all seals anew."""
        seal_anew(self._connection)

    def blob(self, column: str, run_id: int, batch: int) -> bytes:
        """A value of a seal's row."""
        where = "WHERE run_id = :run AND batch = :batch"
        return bytes(self.one(f"SELECT {column} FROM seals {where}", run=run_id, batch=batch))

    def seal(self, change: str, batch: int, run_id: int = RUN_3, **values: Any) -> None:
        """Change a seal's row."""
        self.sql(f"UPDATE seals SET {change} WHERE run_id = :run AND batch = :batch", run=run_id, batch=batch, **values)


def frame(seq: int, last: int | None = None, session_id: int = LONG, table: str = "frames") -> Place:
    return Place(table, session_id, seq, seq if last is None else last)


def batch(number: int, run_id: int = RUN_3) -> Place:
    return Place(run_id=run_id, batch=number)


def flipped(data: bytes, place: int = 0) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


EDITS: dict[str, Edit] = {}


def edit(function: Edit) -> Edit:
    EDITS[function.__name__] = function
    return function


@edit
def one_digit_of_a_price(hand: Hand) -> Expected:
    seq = hand.order()
    changed = hand.payload(seq).replace(b'"price":', b'"price":1')
    hand.frame("payload = :payload", seq, payload=changed)
    return [frame(seq)]


@edit
def a_price_in_the_frame_and_in_its_row(hand: Hand) -> Expected:
    seq = hand.order()
    price = hand.one("SELECT price FROM order_updates WHERE session_id = :s AND seq = :seq", s=LONG, seq=seq)
    written = f'"price":{price}'.encode()
    assert written in hand.payload(seq)
    hand.frame("payload = :payload", seq, payload=hand.payload(seq).replace(written, b'"price":1'))
    hand.sql("UPDATE order_updates SET price = '1' WHERE session_id = :session AND seq = :seq", session=LONG, seq=seq)
    return [frame(seq)]


@edit
def a_byte_of_a_frame_that_cannot_be_read(hand: Hand) -> Expected:
    seq = int(hand.one("SELECT seq FROM frames WHERE status = 'undecoded'"))
    hand.frame("payload = :payload", seq, FIRST, payload=b"no JSON")
    return [frame(seq, session_id=FIRST)]


@edit
def a_byte_of_an_answer(hand: Hand) -> Expected:
    hand.frame("payload = :payload", 1, ROUND, payload=hand.payload(1, ROUND) + b" ")
    return [frame(1, session_id=ROUND)]


@edit
def what_was_asked(hand: Hand) -> Expected:
    hand.frame("topic = '/v3/contracts/orders/1/matches'", 3, ROUND)
    return [frame(3, session_id=ROUND)]


@edit
def a_time_of_receipt(hand: Hand) -> Expected:
    seq = hand.order()
    hand.frame("received_ns = received_ns + 1", seq)
    return [frame(seq)]


@edit
def a_time_of_receipt_in_frame_and_rows(hand: Hand) -> Expected:
    seq = hand.order()
    hand.frame("received_ns = received_ns + 1000000000", seq)
    hand.rows("received_ns = received_ns + 1000000000", seq)
    return [frame(seq)]


@edit
def the_time_of_a_command(hand: Hand) -> Expected:
    hand.frame("received_ns = received_ns - 1", 1)
    return [frame(1)]


@edit
def a_command_that_becomes_a_push(hand: Hand) -> Expected:
    hand.frame("source = 'push'", 1)
    return [frame(1)]


@edit
def a_frame_is_removed(hand: Hand) -> Expected:
    seq = hand.order()
    hand.remove(seq, seq, rows=False)
    return [frame(seq)]


@edit
def a_frame_is_removed_with_its_rows(hand: Hand) -> Expected:
    seq = hand.order()
    hand.remove(seq, seq)
    return [frame(seq)]


@edit
def many_frames_are_removed(hand: Hand) -> Expected:
    seq = hand.order()
    hand.remove(seq, seq + 50)
    return [frame(seq, seq + 50)]


@edit
def the_last_frame_of_a_session_is_removed(hand: Hand) -> Expected:
    seq = int(hand.one("SELECT max(seq) FROM frames WHERE session_id = :session", session=LONG))
    hand.remove(seq, seq)
    return [frame(seq)]


@edit
def the_last_frame_is_removed_and_its_span_cut(hand: Hand) -> Expected:
    seq = int(hand.one("SELECT max(seq) FROM frames WHERE session_id = :session", session=CRASHED))
    hand.remove(seq, seq, CRASHED)
    hand.sql("UPDATE spans SET last_seq = last_seq - 1 WHERE last_seq = :seq AND session_id = :s", seq=seq, s=CRASHED)
    return [batch(hand.batch_of(seq - 1, CRASHED), RUN_2)]


def insert_frame(hand: Hand, session_id: int, seq: int) -> None:
    columns = "account_id, :session, :seq, received_ns, source, topic, status, error, payload"
    hand.sql(
        f"INSERT INTO frames SELECT {columns} FROM frames WHERE session_id = :long AND seq = 5",
        session=session_id,
        seq=seq,
        long=LONG,
    )


@edit
def a_frame_is_inserted_after_the_last(hand: Hand) -> Expected:
    seq = 1 + int(hand.one("SELECT max(seq) FROM frames WHERE session_id = :session", session=LONG))
    insert_frame(hand, LONG, seq)
    return [frame(seq)]


@edit
def frames_are_inserted_before_the_first(hand: Hand) -> Expected:
    insert_frame(hand, LONG, -1)
    insert_frame(hand, LONG, -2)
    return [frame(-2, -1)]


@edit
def a_frame_is_inserted_as_a_session_of_its_own(hand: Hand) -> Expected:
    insert_frame(hand, LONG + 1, 0)
    return [frame(0, session_id=LONG + 1)]


@edit
def a_frame_is_inserted_with_its_span(hand: Hand) -> Expected:
    last = int(hand.one("SELECT max(seq) FROM frames WHERE session_id = :session", session=LONG))
    insert_frame(hand, LONG, last + 1)
    hand.sql("UPDATE spans SET last_seq = last_seq + 1 WHERE session_id = :s AND last_seq = :last", s=LONG, last=last)
    return [frame(last + 1)]


@edit
def a_frame_is_inserted_with_its_span_and_counted(hand: Hand) -> Expected:
    expected = a_frame_is_inserted_with_its_span(hand)
    number = hand.batch_of(expected[0].seq or 0)
    hand.sql("UPDATE batches SET frames = frames + 1 WHERE run_id = :run AND batch = :n", run=RUN_3, n=number)
    return [batch(number), *expected]


def swap(hand: Hand, one: int, other: int, columns: str) -> None:
    values = {
        seq: hand.sql(f"SELECT {columns} FROM frames WHERE session_id = :s AND seq = :seq", s=LONG, seq=seq)[0]
        for seq in (one, other)
    }
    for seq, row in ((one, values[other]), (other, values[one])):
        change = ", ".join(f"{name} = :{name}" for name in columns.split(", "))
        hand.frame(change, seq, **row._mapping)


@edit
def two_frames_change_places(hand: Hand) -> Expected:
    one, other = hand.order(), hand.order(25)
    swap(hand, one, other, "received_ns, topic, payload")
    return [frame(one), frame(other)]


@edit
def two_payloads_change_places(hand: Hand) -> Expected:
    one, other = hand.order(), hand.order(60)
    swap(hand, one, other, "payload")
    return [frame(one), frame(other)]


@edit
def two_frames_exchange_numbers_with_their_rows(hand: Hand) -> Expected:
    one = hand.order()
    for table in ("frames", *(table.name for table in TYPED.values())):
        for was, becomes in ((one, -9), (one + 1, one), (-9, one + 1)):
            where = "WHERE session_id = :s AND seq = :was"
            hand.sql(f"UPDATE {table} SET seq = :becomes {where}", s=LONG, was=was, becomes=becomes)
    return [frame(one, one + 1)]


@edit
def a_redaction_that_nobody_ordered(hand: Hand) -> Expected:
    seq = hand.order()
    hand.frame(f"payload = :nothing, status = '{EMPTIED}', error = NULL", seq, nothing=b"")
    for table in TYPED.values():
        hand.sql(f"DELETE FROM {table.name} WHERE session_id = :s AND seq = :seq", s=LONG, seq=seq)
    return [frame(seq)]


@edit
def a_redaction_with_a_row_but_no_entry(hand: Hand) -> Expected:
    (expected,) = a_redaction_that_nobody_ordered(hand)
    row = ":account, :session, :seq, :seq, 1, 'nobody', 'no reason'"
    hand.sql(f"INSERT INTO redactions VALUES ({row})", account=MAIN, session=LONG, seq=expected.seq)
    return [expected, expected._replace(table="redactions")]


@edit
def a_redaction_is_made_wider(hand: Hand) -> Expected:
    seq = REDACTED.last_seq + 1
    hand.frame(f"payload = :nothing, status = '{EMPTIED}', error = NULL", seq, FIRST, nothing=b"")
    for table in TYPED.values():
        hand.sql(f"DELETE FROM {table.name} WHERE session_id = :s AND seq = :seq", s=FIRST, seq=seq)
    hand.sql("UPDATE redactions SET last_seq = :seq", seq=seq)
    changed = frame(REDACTED.first_seq, seq, FIRST, "redactions")
    return [frame(seq, session_id=FIRST), changed]


@edit
def a_seal_is_removed(hand: Hand) -> Expected:
    hand.sql("DELETE FROM seals WHERE run_id = :run AND batch = 7", run=RUN_3)
    return [batch(7)]


@edit
def two_seals_are_removed(hand: Hand) -> Expected:
    hand.sql("DELETE FROM seals WHERE run_id = :run AND batch IN (7, 8)", run=RUN_3)
    return [batch(7)]


@edit
def the_last_seal_is_removed(hand: Hand) -> Expected:
    hand.sql("DELETE FROM seals WHERE run_id = :run AND batch = 3", run=RUN_5)
    return [batch(3, RUN_5)]


@edit
def a_seal_is_changed(hand: Hand) -> Expected:
    hand.seal("seal = :seal", 7, seal=flipped(hand.blob("seal", RUN_3, 7)))
    return [batch(7)]


@edit
def the_last_seal_of_a_run_is_changed(hand: Hand) -> Expected:
    last = int(hand.one("SELECT max(batch) FROM batches WHERE run_id = :run", run=RUN_2))
    hand.seal("seal = :seal", last, RUN_2, seal=flipped(hand.blob("seal", RUN_2, last)))
    return [batch(last, RUN_2)]


@edit
def a_root_is_changed(hand: Hand) -> Expected:
    hand.seal("frames_root = :root", 7, root=flipped(hand.blob("frames_root", RUN_3, 7)))
    return [batch(7)]


@edit
def a_digest_is_changed(hand: Hand) -> Expected:
    hand.seal("digests = :digests", 7, digests=flipped(hand.blob("digests", RUN_3, 7), 100))
    return [batch(7)]


@edit
def a_frame_and_its_digest(hand: Hand) -> Expected:
    seq = hand.order()
    number = hand.batch_of(seq)
    # With the typed rows, so that nothing but the root tells of it.
    hand.frame("received_ns = received_ns + 1", seq)
    hand.rows("received_ns = received_ns + 1", seq)
    ((row,),) = [hand.sql("SELECT * FROM frames WHERE session_id = :s AND seq = :seq", s=LONG, seq=seq)]
    digest = frame_digests(RUN_3, [Frame(*row)._replace(payload=hand.payload(seq))])
    first = int(hand.one("SELECT first_seq FROM spans WHERE run_id = :run AND batch = :n", run=RUN_3, n=number))
    digests, at = hand.blob("digests", RUN_3, number), len(digest) * (seq - first)
    hand.seal("digests = :digests", number, digests=digests[:at] + digest + digests[at + len(digest) :])
    return [batch(number)]


@edit
def the_time_of_writing_is_changed(hand: Hand) -> Expected:
    hand.sql("UPDATE batches SET written_ns = written_ns + 1 WHERE run_id = :run AND batch = 7", run=RUN_3)
    return [batch(7)]


@edit
def the_row_of_a_batch_is_removed(hand: Hand) -> Expected:
    hand.sql("DELETE FROM batches WHERE run_id = :run AND batch = 7", run=RUN_3)
    return [batch(7)]


@edit
def a_span_is_cut(hand: Hand) -> Expected:
    last = int(hand.one("SELECT last_seq FROM spans WHERE run_id = :run AND batch = 7", run=RUN_3))
    hand.sql("UPDATE spans SET last_seq = last_seq - 1 WHERE run_id = :run AND batch = 7", run=RUN_3)
    return [frame(last, table="spans")]


@edit
def a_span_is_removed(hand: Hand) -> Expected:
    where = "WHERE run_id = :run AND batch = 7 AND session_id = :session"
    ((first, last),) = hand.sql(f"SELECT first_seq, last_seq FROM spans {where}", run=RUN_1, session=BESIDE)
    hand.sql(f"DELETE FROM spans {where}", run=RUN_1, session=BESIDE)
    return [frame(first, last, BESIDE, "spans")]


JOURNAL = ("batches", "spans", "seals", "event_log")


def remove_batches(hand: Hand, run_id: int, first: int, last: int) -> tuple[int, int]:
    """All of some batches; the first and last frame they held."""
    where = "WHERE run_id = :run AND batch BETWEEN :first AND :last"
    which = {"run": run_id, "first": first, "last": last}
    seqs = (0, -1)
    for session, least, most in hand.sql(
        f"SELECT session_id, min(first_seq), max(last_seq) FROM spans {where} GROUP BY session_id", **which
    ):
        hand.remove(least, most, session)
        seqs = least, most
    for table in JOURNAL:
        hand.sql(f"DELETE FROM {table} {where}", **which)
    return seqs


@edit
def a_batch_is_removed(hand: Hand) -> Expected:
    seqs = remove_batches(hand, RUN_3, 7, 7)
    return [batch(7), frame(*seqs, table="spans")]


@edit
def three_batches_are_removed(hand: Hand) -> Expected:
    seqs = remove_batches(hand, RUN_3, 7, 9)
    return [batch(7), frame(*seqs, table="spans")]


@edit
def the_end_of_a_run_is_removed(hand: Hand) -> Expected:
    last = int(hand.one("SELECT max(batch) FROM batches WHERE run_id = :run", run=RUN_2))
    remove_batches(hand, RUN_2, last - 1, last)
    return [batch(0)]


@edit
def the_beginning_is_removed(hand: Hand) -> Expected:
    remove_batches(hand, RUN_1, 0, 10_000)
    return [batch(0, RUN_2)]


@edit
def the_end_is_cut_off(hand: Hand) -> Expected:
    """As if it had never been: nothing in the record itself speaks against it, but the checkpoint does."""
    remove_batches(hand, RUN_5, 0, 3)
    hand.sql("DELETE FROM checkpoints")
    hand.sql("DELETE FROM sessions WHERE session_id = :session", session=LAST)
    hand.sql("DELETE FROM gaps WHERE begin_session_id = :session", session=LAST)
    ended = "ends_ns = NULL, end_session_id = NULL, end_seq = NULL"
    hand.sql(f"UPDATE gaps SET {ended} WHERE end_session_id = :session", session=LAST)
    hand.sql("DELETE FROM runs WHERE run_id = :run", run=RUN_5)
    last = hand.sql("SELECT run_id, batch FROM batches ORDER BY run_id DESC, batch DESC LIMIT 1")[0]
    return [batch(last.batch, last.run_id)]


@edit
def a_price_with_all_seals_made_anew(hand: Hand) -> Expected:
    a_price_in_the_frame_and_in_its_row(hand)
    hand.seal_anew()
    # By the checkpoint in the record, and by the one that was kept elsewhere.
    return [Place("checkpoints"), Place("seals")]


@edit
def frames_taken_out_with_all_seals_made_anew(hand: Hand) -> Expected:
    seq = int(hand.one("SELECT first_seq FROM spans WHERE run_id = :run AND batch = 7", run=RUN_3))
    hand.remove(seq, seq + 1)
    where = "WHERE run_id = :run AND batch = 7"
    hand.sql(f"UPDATE spans SET first_seq = first_seq + 2 {where}", run=RUN_3)
    hand.sql(f"UPDATE batches SET frames = frames - 2 {where}", run=RUN_3)
    hand.seal_anew()
    return [
        Place("spans", LONG, seq, seq + 1, RUN_3, 7),
        Place("checkpoints"),
        Place("seals"),
    ]


@edit
def the_note_of_a_checkpoint(hand: Hand) -> Expected:
    (note,) = hand.sql("SELECT note FROM checkpoints")[0]
    size = note.split("\n")[1]
    hand.sql("UPDATE checkpoints SET note = :note", note=note.replace(f"\n{size}\n", f"\n{int(size) - 1}\n"))
    return [Place("checkpoints"), Place("checkpoints")]


@edit
def an_entry_is_changed(hand: Hand) -> Expected:
    which = "WHERE run_id = :run AND body LIKE '%SessionEnded%'"
    hand.sql(f"UPDATE event_log SET body = replace(body, 'lost', 'silent') {which}", run=RUN_3)
    number = int(hand.one(f"SELECT max(batch) FROM event_log {which}", run=RUN_3))
    return [batch(number)]


@edit
def an_entry_is_removed(hand: Hand) -> Expected:
    hand.sql("DELETE FROM event_log WHERE body LIKE '%DiscrepancyFound%'")
    hand.sql("DELETE FROM discrepancies")
    number = hand.batch_of(0, COMPARED)
    return [batch(number, RUN_1)]


@edit
def an_entry_is_inserted(hand: Hand) -> Expected:
    redaction = '{"kind":"RunEnded","run_id":1,"ended_ns":1,"reason":"x"}'
    hand.sql("INSERT INTO event_log VALUES (:run, 7, 0, :body)", run=RUN_3, body=redaction)
    return [batch(7)]


@edit
def a_typed_row_is_changed(hand: Hand) -> Expected:
    seq = hand.order()
    hand.sql("UPDATE order_updates SET fee = '0.5' WHERE session_id = :s AND seq = :seq", s=LONG, seq=seq)
    return [frame(seq, table="order_updates")]


@edit
def a_typed_row_is_removed(hand: Hand) -> Expected:
    seq = hand.order()
    hand.sql("DELETE FROM order_updates WHERE session_id = :s AND seq = :seq", s=LONG, seq=seq)
    return [frame(seq, table="order_updates")]


@edit
def the_row_of_a_fill_is_removed(hand: Hand) -> Expected:
    hand.sql("DELETE FROM fills WHERE session_id = :s AND item = 0", s=ROUND)
    return [frame(3, session_id=ROUND, table="fills")]


@edit
def a_typed_row_is_inserted(hand: Hand) -> Expected:
    seq = hand.order()
    hand.sql("INSERT INTO heartbeats VALUES (:a, :s, :seq, 0, 1, 2, 0, 3)", a=MAIN, s=LONG, seq=seq)
    return [frame(seq, table="heartbeats")]


@edit
def a_typed_row_without_a_frame(hand: Hand) -> Expected:
    hand.sql("INSERT INTO heartbeats VALUES (:a, :s, 0, 0, 1, 2, 0, 3)", a=OTHER, s=LONG)
    return [frame(0, table="heartbeats")]


@edit
def the_row_of_a_snapshot(hand: Hand) -> Expected:
    """Nothing follows from what was asked for to compare."""
    columns = ", ".join(column.name for column in account_updates.c if column.name not in TYPED_KEY)
    rows = f"SELECT account_id, :compared, 0, item, received_ns, {columns} FROM account_updates"
    where = "WHERE session_id = :round AND item = 0"
    hand.sql(f"INSERT INTO account_updates {rows} {where}", compared=COMPARED, round=ROUND)
    return [frame(0, session_id=COMPARED, table="account_updates")]


@edit
def a_frame_passed_off_as_unreadable(hand: Hand) -> Expected:
    seq = hand.order()
    hand.frame("status = 'undecoded', error = 'too bad'", seq)
    return [frame(seq)]


@edit
def a_gap_is_closed(hand: Hand) -> Expected:
    hand.sql("UPDATE gaps SET state = 'reconciled' WHERE reason = 'crashed'")
    return [Place("gaps")]


@edit
def a_gap_is_removed(hand: Hand) -> Expected:
    hand.sql("DELETE FROM gaps WHERE reason = 'crashed'")
    return [Place("gaps")]


@edit
def a_discrepancy_is_removed(hand: Hand) -> Expected:
    hand.sql("DELETE FROM discrepancies")
    return [Place("discrepancies", COMPARED, 0, 0)]


@edit
def a_session_is_said_to_have_ended_well(hand: Hand) -> Expected:
    hand.sql("UPDATE sessions SET end_reason = 'stopped' WHERE end_reason = 'lost'")
    return [Place("sessions", LONG)]


@edit
def a_key_is_said_to_be_accepted(hand: Hand) -> Expected:
    hand.sql("INSERT INTO credentials VALUES (:account, '0123456789abcdef', 1, 1)", account=MAIN)
    return [Place("credentials")]


@edit
def a_recorder_is_said_to_be_retired(hand: Hand) -> Expected:
    hand.sql("INSERT INTO retirements SELECT recorder_id, 1, 'me', 'sold' FROM recorders")
    return [Place("retirements")]


@edit
def a_run_is_said_to_be_anothers(hand: Hand) -> Expected:
    hand.sql("INSERT INTO recorders VALUES (5, 1, 'elsewhere')")
    hand.sql("UPDATE runs SET recorder_id = 5 WHERE run_id = :run", run=RUN_2)
    return [Place("recorders"), Place("runs", run_id=RUN_2)]


class Original(NamedTuple):
    """The record of an engine, and how it is copied with the guards removed."""

    url: str
    chronicle: Chronicle
    frames: int
    copy: Callable[[], AbstractContextManager[str]]


SMALL, LARGE = (1_000, 20), (100_000, 1_000)


@pytest.fixture(
    scope="module",
    params=[
        *((engine, SMALL) for engine in ("sqlite", "postgresql")),
        *(pytest.param((engine, LARGE), marks=pytest.mark.long) for engine in ("sqlite", "postgresql")),
    ],
    ids=lambda param: f"{param[0]}-{param[1][0]}",
)
def original(
    request: pytest.FixtureRequest, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Original]:
    engine_name, (frames, per_batch) = request.param
    folder = tmp_path_factory.mktemp("original")
    source = Path(shutil.copy(sqlite_template, folder / "chronicle.db"))
    chronicle = write_chronicle(f"sqlite:///{source}", frames, per_batch)
    if engine_name == "sqlite":
        yield Original(chronicle.url, chronicle, frames, lambda: _file_copy(source, folder / "copy.db"))
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url, edited = server.new_database(), server.new_database()
    for target_url in (url, edited):
        source_engine, target = quick_engine(chronicle.url), quick_engine(target_url)
        move(source_engine, target)
        source_engine.dispose()
        target.dispose()
    engine = quick_engine(edited)
    with engine.begin() as connection:
        unguard(connection)
        connection.exec_driver_sql("CREATE SCHEMA kept")
        for table in metadata.sorted_tables:
            connection.exec_driver_sql(f"CREATE TABLE kept.{table.name} AS SELECT * FROM {table.name}")
    yield Original(url, chronicle, frames, lambda: _restored(engine, edited))
    engine.dispose()


@contextmanager
def _file_copy(source: Path, path: Path) -> Iterator[str]:
    shutil.copy(source, path)
    engine = quick_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        unguard(connection)
    engine.dispose()
    yield f"sqlite:///{path}"
    for left in path.parent.glob("copy.db*"):
        left.unlink()


@contextmanager
def _restored(engine: Engine, url: str) -> Iterator[str]:
    """One database for all edits: each finds it as it was, which is faster than a database for each."""
    yield url
    with engine.begin() as connection:
        connection.exec_driver_sql("SET session_replication_role = replica")
        for table in metadata.sorted_tables:
            connection.exec_driver_sql(f"DELETE FROM {table.name}")
        for table in metadata.sorted_tables:
            connection.exec_driver_sql(f"INSERT INTO {table.name} SELECT * FROM kept.{table.name}")


def verified(url: str, chronicle: Chronicle) -> tuple[list[Finding], Verification]:
    """What is found, with the checkpoint that was kept elsewhere."""
    key = chronicle.key.verifier
    claim = Claim(read_checkpoint(chronicle.note, key), "the checkpoint that was brought along", "seals")
    verification = Verification(url, Wanted(claims=[claim], key=key, jobs=1))
    return list(verification), verification


def is_at(finding: Finding, place: Place) -> bool:
    return all(value is None or getattr(finding, name) == value for name, value in place._asdict().items())


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_found_and_its_place_named(original: Original, name: str) -> None:
    with original.copy() as url:
        engine = quick_engine(url)
        with engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.connection.driver_connection.execute("PRAGMA foreign_keys=OFF")  # type: ignore[union-attr]
            with connection.begin():
                if connection.dialect.name != "sqlite":
                    connection.exec_driver_sql("SET session_replication_role = replica")
                places = EDITS[name](Hand(connection))
        engine.dispose()
        found, _ = verified(url, original.chronicle)
        missed = [place for place in places if not any(is_at(finding, place) for finding in found)]
        assert not missed, found
        assert len(found) <= FINDINGS_MAX


def test_nothing_is_found_where_nothing_was_edited(original: Original) -> None:
    found, verification = verified(original.url, original.chronicle)
    assert found == []
    seen = verification.verified
    assert seen.frames >= original.frames
    assert seen.seals == seen.batches == original.chronicle.seals
    assert seen.checkpoints == 2
    assert seen.redacted == REDACTED.frames
    assert seen.not_checked == ()


def test_there_are_edits_enough() -> None:
    assert len(EDITS) >= 60
