"""What a backfill tells of the past never passes for the present; since when there is history without a hole."""

from itertools import count
from typing import Any

import pytest
from sqlalchemy import insert, text

from recorder.clock import NS_PER_MS
from recorder.live.channel import Recorded
from recorder.model import REST, AccountUpdate, Frame, OrderUpdate, State
from recorder.read.backfilled import (
    OVERLAP_MS,
    asked_since_ms,
    history_since,
    last_asked_ns,
    transactions_since_ms,
)
from recorder.read.projector import project_all
from recorder.read.sums import DAY_MS
from recorder.store import event_log
from recorder.store.entries import ReconciliationBegan, ReconciliationEnded
from recorder.store.schema import backfilled, sessions, transactions
from tests.made import ACCOUNT, NOON_NS, RUN
from tests.unit.read.desk import Desk

NOON_MS = NOON_NS // NS_PER_MS
ROUND = 1_000


def update(kind: type[State], **fields: Any) -> Any:
    return kind(**dict.fromkeys(kind._fields) | {"is_snapshot": 0, "is_partial": 0} | fields)  # type: ignore[arg-type]


def order(status: str, updated_ms: int | None) -> OrderUpdate:
    told: OrderUpdate = update(OrderUpdate, order_id="1", symbol="BTC", status=status, updated_ms=updated_ms)
    return told


def answer(desk: Desk, purpose: str, began_ms: int, *updates: Any) -> None:
    """A round whose one answer was received a second after it was asked for."""
    at_ns = began_ms * NS_PER_MS
    began = ReconciliationBegan(ACCOUNT, ROUND, RUN, at_ns, purpose)
    frame = Frame(ACCOUNT, ROUND, 0, at_ns + 10**9, REST, "/history", "decoded", None, b"{}")
    desk.write(Recorded(frame, updates), entries=[began])


def push(desk: Desk, seq: int, at_ms: int, *updates: Any) -> None:
    frame = Frame(ACCOUNT, 70, seq, at_ms * NS_PER_MS, "push", "order", "decoded", None, b"{}")
    desk.write(Recorded(frame, updates))


def latest(desk: Desk) -> list[Any]:
    """The order's status: in Python, as of now, before and after projecting; and in SQL."""
    found: list[Any] = []
    for _ in range(2):
        with desk.open() as record:
            found += [one.status for one in record.orders()]
            found += [one.status for one in record.as_of((NOON_MS + 10**7) * NS_PER_MS).orders()]
        with desk.engine.connect() as connection:
            for _ in project_all(connection):
                pass
    with desk.engine.connect() as connection:
        found += connection.execute(text("SELECT status FROM orders")).scalars().all()
    return found


@pytest.mark.parametrize(
    ("purpose", "told_ms", "status"),
    [
        # The push was received 500 ms after noon; the exchange was asked 10 s after noon.
        ("backfill", NOON_MS, "filled"),
        ("backfill", None, "filled"),
        ("backfill", NOON_MS + 2_000, "new"),
        # A time that cannot be: it counts from the request.
        ("backfill", 2**62, "new"),
        ("reconcile", NOON_MS, "new"),
    ],
)
def test_an_older_state_that_is_learned_later_is_history(
    desk: Desk, purpose: str, told_ms: int | None, status: str
) -> None:
    push(desk, 0, NOON_MS + 500, order("filled", NOON_MS + 400))
    answer(desk, purpose, NOON_MS + 10_000, order("new", told_ms))
    assert latest(desk) == [status] * 5


def test_a_backfill_leaves_the_latest_balances_as_they_are(desk: Desk) -> None:
    push(desk, 0, NOON_MS + 500, update(AccountUpdate, currency="BTC", balance="2"))
    answer(desk, "backfill", NOON_MS + 10_000, update(AccountUpdate, currency="BTC", balance="1", updated_ms=NOON_MS))
    with desk.open() as record:
        assert [str(one.balance) for one in record.balances()] == ["2"]
    with desk.engine.connect() as connection:
        for _ in project_all(connection):
            pass
    with desk.open() as record:
        assert [str(one.balance) for one in record.balances()] == ["2"]
    with desk.engine.connect() as connection:
        assert connection.execute(text("SELECT balance FROM balances")).scalars().all() == [2]


def test_history_goes_back_to_the_first_hole(desk: Desk) -> None:
    periods = [
        ("fills", NOON_MS - 10, NOON_MS + 5),
        ("fills", NOON_MS - 30, NOON_MS - 10),
        ("fills", NOON_MS - 60, NOON_MS - 40),
        ("orders", NOON_MS - 90, NOON_MS - 1),
        ("", NOON_MS - 99, NOON_MS),
    ]
    with desk.engine.begin() as connection:
        assert history_since(connection, ACCOUNT) == {}
        session = {"stream": "", "url": "", "topics": "", "opened_ns": NOON_NS, "covered_ns": NOON_NS}
        connection.execute(insert(sessions).values(account_id=ACCOUNT, session_id=70, run_id=RUN, **session))
        of = {"account_id": ACCOUNT, "reconciliation_id": ROUND, "completed_ns": NOON_NS}
        for number, (history, since_ms, until_ms) in enumerate(periods):
            row = {"subject": str(number), "history": history, "since_ms": since_ms, "until_ms": until_ms}
            connection.execute(insert(backfilled).values(of | row))
        # The orders of the millisecond before the record are missing.
        assert history_since(connection, ACCOUNT) == {"fills": NOON_MS - 30}


class Rounds:
    """Regular rounds about transactions, each a little later than the one before."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._ids = count(1)

    def ask(self, at_ms: int, result: str, *occurred_ms: int, now_ms: int = NOON_MS) -> int | None:
        """A round that began then, and the transactions in it; returns from when on the next one asks, less overlap."""
        round_id = next(self._ids)
        with self._desk.engine.begin() as connection:
            began = ReconciliationBegan(ACCOUNT, round_id, RUN, at_ms * NS_PER_MS, "regular")
            ended = ReconciliationEnded(ACCOUNT, round_id, 70, at_ms * NS_PER_MS, result, "")
            event_log.apply(connection, 1, began)
            event_log.apply(connection, 1, ended)
            for item, ms in enumerate(occurred_ms):
                row = {"received_ns": 1, "is_snapshot": 0, "type": "funding", "occurred_ms": ms}
                key = {"account_id": ACCOUNT, "session_id": round_id, "seq": 0, "item": item}
                connection.execute(insert(transactions).values(key | row))
            since_ms = transactions_since_ms(connection, ACCOUNT, now_ms)
        return None if since_ms is None else since_ms + OVERLAP_MS


def test_transactions_are_asked_for_since_the_newest_of_a_round_that_was_answered(desk: Desk) -> None:
    ask = Rounds(desk).ask
    assert ask(NOON_MS, "failed", NOON_MS - 5) is None
    assert ask(NOON_MS, "answered", NOON_MS - 20, NOON_MS - 10) == NOON_MS - 10
    assert ask(NOON_MS, "failed", NOON_MS - 1) == NOON_MS - 10
    assert ask(NOON_MS + 9, "answered") == NOON_MS - 10
    # What is older than a day before the last answered round was in its answers.
    assert ask(NOON_MS + 3 * DAY_MS, "answered") == NOON_MS + 2 * DAY_MS
    # The first list of a round may have been asked before what is in its last one had happened.
    assert ask(NOON_MS + 4 * DAY_MS, "answered", NOON_MS + 4 * DAY_MS + 400_000) == NOON_MS + 4 * DAY_MS


def test_what_is_pushed_is_asked_for_since_the_last_round_that_was_complete_began(desk: Desk) -> None:
    ask = Rounds(desk).ask

    def since_ms() -> int:
        with desk.engine.connect() as connection:
            return asked_since_ms(connection, ACCOUNT, NOON_MS + DAY_MS) + OVERLAP_MS

    assert since_ms() == NOON_MS + DAY_MS
    session = {"stream": "", "url": "", "topics": "", "opened_ns": NOON_NS, "covered_ns": NOON_NS}
    with desk.engine.begin() as connection:
        connection.execute(insert(sessions).values(account_id=ACCOUNT, session_id=70, run_id=RUN, **session))
    ask(NOON_MS + 5, "failed")
    assert since_ms() == NOON_MS
    ask(NOON_MS + 10, "answered", NOON_MS)
    ask(NOON_MS + 20, "interrupted")
    assert since_ms() == NOON_MS + 10
    ask(NOON_MS + 30, "answered")
    assert since_ms() == NOON_MS + 30


@pytest.mark.parametrize("result", ["failed", "interrupted"])
def test_transactions_are_asked_for_since_the_record_began_if_no_round_was_answered(desk: Desk, result: str) -> None:
    session = {"stream": "", "url": "", "topics": "", "opened_ns": NOON_NS, "covered_ns": NOON_NS}
    with desk.engine.begin() as connection:
        connection.execute(insert(sessions).values(account_id=ACCOUNT, session_id=70, run_id=RUN, **session))
    ask = Rounds(desk).ask
    # Each venue asks for a week at first.
    assert ask(NOON_MS, result, now_ms=NOON_MS + 6 * DAY_MS) is None
    assert ask(NOON_MS, result, now_ms=NOON_MS + 30 * DAY_MS) == NOON_MS
    assert ask(NOON_MS + 30 * DAY_MS, "answered", now_ms=NOON_MS + 30 * DAY_MS) == NOON_MS + 29 * DAY_MS


def test_what_a_list_had_while_it_was_refused_is_asked_for_once_it_is_answered_again(desk: Desk) -> None:
    ask, day = Rounds(desk).ask, [NOON_MS + n * DAY_MS for n in range(9)]
    assert ask(day[0], "answered", day[0] - 10) == day[0] - 10
    # Meanwhile the other lists go on.
    assert ask(day[3], "incomplete", day[3] - 10) == day[3] - 10
    assert ask(day[4], "incomplete", day[4] - 10) == day[4] - 10
    # The right is given; nobody knows yet what was in the list.
    assert ask(day[5], "answered", day[5] - 10) == day[0] - 10
    assert ask(day[5] + 1, "interrupted") == day[0] - 10
    assert ask(day[5] + 2, "failed") == day[0] - 10
    assert ask(day[5] + 3, "answered", day[2], day[5] - 10) == day[5] - 10


def test_an_exchange_was_asked_last_at_the_end_of_a_round_or_just_now_if_it_was_interrupted(desk: Desk) -> None:
    def asked_ns(round_id: int, ended_ns: int | None) -> int | None:
        with desk.engine.begin() as connection:
            if round_id:
                event_log.apply(connection, 1, ReconciliationBegan(ACCOUNT, round_id, RUN, NOON_NS, "backfill"))
            if ended_ns is not None:
                event_log.apply(connection, 1, ReconciliationEnded(ACCOUNT, round_id, 70, ended_ns, "answered", ""))
            return last_asked_ns(connection, ACCOUNT, NOON_NS + 50)

    assert asked_ns(0, None) is None
    assert asked_ns(1, NOON_NS + 7) == NOON_NS + 7
    assert asked_ns(2, None) == NOON_NS + 50
    with desk.engine.begin() as connection:
        connection.execute(text("UPDATE reconciliations SET result = 'interrupted', ended_ns = 1 WHERE result IS NULL"))
        assert last_asked_ns(connection, ACCOUNT, NOON_NS + 60) == NOON_NS + 60
    assert asked_ns(3, NOON_NS + 9) == NOON_NS + 9
