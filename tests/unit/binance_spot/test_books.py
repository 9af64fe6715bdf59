"""Books of a spot account: fills and movements of money explain every balance, and what is missing is named."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import count, islice

import pytest

from recorder.clock import NS_PER_MS, NS_PER_S
from recorder.live.channel import Recorded
from recorder.model import DECODED, PUSH, REST, FillUpdate, Frame
from recorder.read.projector import project_all
from recorder.read.records import Book, Filter
from recorder.simulator.exchange import Exchange
from recorder.store.entries import AccountAdded, Covered, SessionOpened
from recorder.venues.binance_spot import answers
from tests.made import NOON_NS, RUN
from tests.unit.binance_spot.frames import answer, asked, event, push, read, row
from tests.unit.read.desk import Desk

NOON_MS = NOON_NS // NS_PER_MS
_accounts = count(1_000)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("books") / "record.db")
    yield made
    made.engine.dispose()


def books(desk: Desk, pushed: Sequence[tuple[int, bytes]], answered: Sequence[tuple[str, bytes]] = ()) -> list[Book]:
    """The books of an account of which these pushes came, each at its time, and then these answers."""
    account_id = next(_accounts)
    first_ns = pushed[0][0] - NS_PER_S
    frames = []
    for seq, (at_ns, payload) in enumerate(pushed):
        decoded = read(payload)
        assert decoded.error is None
        frame = Frame(account_id, account_id, seq, at_ns, PUSH, decoded.topic, DECODED, None, payload)
        frames.append(Recorded(frame, decoded.rows))
    for seq, (target, payload) in enumerate(answered):
        decoded = asked(target, payload)
        assert decoded.error is None
        # Between the first pushes, as a reconciliation does.
        at_ns = pushed[1][0] + 1 + seq
        frame = Frame(account_id, account_id + 10**6, seq, at_ns, REST, target, DECODED, None, payload)
        frames.append(Recorded(frame, decoded.rows))
    desk.write(
        *frames,
        entries=[
            AccountAdded(account_id, "binance_spot", f"a{account_id}", first_ns),
            SessionOpened(account_id, account_id, RUN, "wss://x", ("all",), first_ns),
            Covered(account_id, account_id, 0, first_ns, ("all",), {}),
        ],
    )
    with desk.engine.connect() as connection:
        list(project_all(connection))
    with desk.open() as record:
        return list(record.books(Filter(f"binance_spot/a{account_id}")))


def traded(pushes: int) -> list[tuple[int, bytes]]:
    """What is pushed of a simulated account, and when."""
    exchange = Exchange(11, venue="binance_spot", start_ms=NOON_MS)
    told = []
    for number, (_, payload) in enumerate(islice(exchange, pushes)):
        told.append(((exchange.history.now_ms + 5) * NS_PER_MS + number, payload))
    return told


def test_fills_and_movements_explain_every_balance(desk: Desk) -> None:
    found = books(desk, traded(3_000))
    assert {book.currency for book in found} == {"USDT", "BTC", "ETH", "BNB"}
    assert [change for book in found for change in book.changes] == []
    for book in found:
        assert book.unexplained == book.unsettled == 0
        assert book.change == book.realized_pnl - book.fees + book.transfers
    assert sum(book.fills for book in found) > 200
    assert sum(book.transfers for book in found) > 0
    assert min(book.fees for book in found) > 0


def test_a_fill_that_is_missing_is_named_by_its_amounts(desk: Desk) -> None:
    pushed = traded(1_500)

    def fill_of(payload: bytes) -> FillUpdate | None:
        return next((one for one in read(payload).updates if isinstance(one, FillUpdate)), None)

    place = next(n for n, (_, payload) in enumerate(pushed) if n > 700 and fill_of(payload) is not None)
    lost = fill_of(pushed[place][1])
    assert lost is not None
    changes = [change for book in books(desk, pushed[:place] + pushed[place + 1 :]) for change in book.changes]
    amounts = {change.currency: abs(change.amount) for change in changes}
    value = Decimal(lost.price or 0) * Decimal(lost.quantity or 0)
    assert len(amounts) == 2
    assert any(abs(amount - value) <= Decimal(lost.fee or 0) for amount in amounts.values())


def test_a_record_may_begin_between_the_fills_of_one_order(desk: Desk) -> None:
    """Of three fills of one millisecond, the first is asked for over REST, after the second was pushed."""
    at_ms = NOON_MS
    fills = [(1, "0.00100000"), (2, "0.06000000"), (3, "3.36300000")]
    owned = Decimal("17.38623582")
    pushed: list[tuple[int, bytes]] = []
    for number, (trade_id, quantity) in enumerate(fills):
        owned -= Decimal(quantity)
        at_ns = (at_ms + 300 + 100 * number) * NS_PER_MS
        if number:
            report = event("executionReport", S="SELL", t=trade_id, l=quantity, T=at_ms, n="0", N=None, E=at_ms)
            pushed.append((at_ns, push(report)))
        balances = [{"a": "BTC", "f": str(owned), "l": "0.00000000"}]
        pushed.append((at_ns + 50, push(event("outboundAccountPosition", u=at_ms, E=at_ms, B=balances))))
    pushed.append(((at_ms + 60_000) * NS_PER_MS, push(event("outboundAccountPosition", u=at_ms + 60_000, B=balances))))
    rows = [
        row("rest-myTrades", id=trade_id, qty=quantity, isBuyer=False, commission="0", time=at_ms)
        for trade_id, quantity in fills
    ]
    (book,) = [one for one in books(desk, pushed, [(answers.TRADES, answer(rows))]) if one.currency == "BTC"]
    assert not book.changes
    assert not book.unexplained and book.change == Decimal("-3.42300000")
