"""A planned reconnect: for a while a recorder has two connections, and readers see each push of an order once."""

from collections.abc import Iterable

import pytest
from sqlalchemy import text

from recorder.read.projector import project_all
from recorder.store.deduplication import APART_NS
from recorder.store.entries import LogEntry, SessionEnded, SessionOpened
from tests.made import ACCOUNT, NOON_NS, RUN, received
from tests.unit.read.desk import Desk

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = ("test_each_push_is_read_once",)

S = 1_000_000_000
OLD, NEW, FIRST = 101, 102, 100
#: Which session received what state of the order, seconds after noon.
Push = tuple[float, int, int]


def write(desk: Desk, opened: dict[int, tuple[float, float | None]], pushes: Iterable[Push]) -> None:
    """Write sessions, open from when until when in seconds after noon, and what they received."""
    entries: list[LogEntry] = [
        SessionOpened(ACCOUNT, session_id, RUN, "wss://x", ("order",), NOON_NS + int(since_s * S))
        for session_id, (since_s, _) in opened.items()
    ]
    seqs = dict.fromkeys(opened, 0)
    recorded = []
    for at_s, session_id, filled in sorted(pushes):
        said = f'"id":1,"symbol":"A","quantity":10,"unfilled_quantity":{10 - filled},"status":"PENDING"'
        payload = f'{{"type":"order.a","ts":{filled},"order":{{{said}}}}}'.encode()
        at_ns = NOON_NS + int(at_s * S)
        recorded.append(received(seqs[session_id], payload, session_id=session_id, at_ns=at_ns))
        seqs[session_id] += 1
    entries += [
        SessionEnded(
            ACCOUNT,
            session_id,
            NOON_NS + int(until_s * S),
            "replaced",
            "",
            True,
            last_received_ns=NOON_NS,
            last_seq=seqs[session_id] - 1,
        )
        for session_id, (_, until_s) in opened.items()
        if until_s is not None
    ]
    desk.write(*recorded, entries=entries)
    with desk.engine.connect() as connection:
        list(project_all(connection))


def read(desk: Desk) -> list[int]:
    """The filled quantities that a reader is told, in order: in Python, in SQL and as of later on."""
    with desk.open() as record:
        told = [int(order.filled_quantity or 0) for order in record.order_history()]
        assert [int(one.filled_quantity or 0) for one in record.as_of(NOON_NS + 3600 * S).order_history()] == told
    with desk.engine.connect() as connection:
        query = "SELECT filled_quantity FROM order_history ORDER BY received_ns, session_id, seq"
        assert [int(one) for one in connection.scalars(text(query))] == told
        assert connection.scalar(text("SELECT updates FROM order_lives")) == len(told)
    return told


def test_each_push_is_read_once(desk: Desk) -> None:
    write(
        desk,
        {FIRST: (-50, -1), OLD: (0, 15), NEW: (10, None)},
        [
            # Of a connection before, which had ended; and a full state at the beginning of the next one.
            *[(-2, FIRST, 1), (1, OLD, 1), (10.5, NEW, 1)],
            # Once and twice by both, whichever was first.
            *[(11, OLD, 2), (11.1, NEW, 2), (12, NEW, 3), (12.1, OLD, 3), (12.2, OLD, 3), (12.3, NEW, 3)],
            # By one of them alone, and by the new one when the old one had ended.
            *[(13, OLD, 4), (13.5, NEW, 5), (14.9, OLD, 6), (15.2, NEW, 6), (16, NEW, 7), (17, NEW, 7)],
        ],
    )
    assert read(desk) == [1, 1, 1, 2, 3, 3, 4, 5, 6, 7, 7]


@pytest.mark.parametrize(("later_s", "expected"), [(APART_NS // S, [1]), (APART_NS // S + 1, [1, 1])])
def test_two_pushes_are_the_same_within_two_minutes(desk: Desk, later_s: int, expected: list[int]) -> None:
    write(desk, {OLD: (0, None), NEW: (1, None)}, [(2, OLD, 1), (2 + later_s, NEW, 1)])
    assert read(desk) == expected


def test_an_old_connection_that_goes_on_overlaps_each_new_one(desk: Desk) -> None:
    """The first new connection failed, and the second one came while the old one still was open."""
    write(
        desk,
        {FIRST: (0, 30), OLD: (10, 12), NEW: (20, None)},
        [
            (11, FIRST, 1),
            (11.1, OLD, 1),
            (13, FIRST, 2),
            (21, FIRST, 3),
            (21.1, NEW, 3),
            (22, FIRST, 2),
            (22.1, NEW, 2),
        ],
    )
    assert read(desk) == [1, 2, 3, 2]
