"""Books by the transaction log: fees at once, what a future has earned at its settlement, an option's premium."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from recorder.live.channel import Recorded
from recorder.model import REST, Frame, Transaction, Update
from recorder.venues.accounting import Execution, Move
from recorder.venues.deribit import answers
from recorder.venues.deribit.accounting import DeribitAccounting
from tests.made import ACCOUNT, NOON_NS, SESSION
from tests.unit.deribit.frames import asked, sample
from tests.unit.read.desk import Desk
from tests.unit.read.ledger_writer import Writer
from tests.unit.read.recordings import Recording

D = Decimal
ACCOUNTING = DeribitAccounting()


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Writer]:
    yield Writer(tmp_path_factory.mktemp("books") / "record.db")


def test_a_liquidated_account_leaves_nothing_unexplained_and_what_the_log_left_out_is_named(writer: Writer) -> None:
    recording = Recording("deribit", 5)
    books = writer.books(writer.write_recording(recording))
    assert [change for book in books for change in book.changes] == []
    assert {book.unexplained for book in books} == {D(0)}
    assert {book.currency for book in books} == {"BTC", "ETH", "USDC"}
    lost = recording.liquidated[0]
    recording.forget(lost)
    (change,) = [one for book in writer.books(writer.write_recording(recording)) for one in book.changes]
    assert (change.currency, change.amount) == (lost.currency, lost.amount)


def test_a_currency_whose_log_was_asked_for_earlier_is_not_compared_beyond_that(writer: Writer) -> None:
    """The exchange lists each currency by itself, a second or more apart: a trade on spot may be in one log only."""
    recording = Recording("deribit", 5)
    listed = [one for _, decoded in recording.answered for one in decoded.updates if isinstance(one, Transaction)]
    times = sorted(one.occurred_ms or 0 for one in listed if one.currency == "ETH")
    until_ms = times[len(times) // 2]

    def is_asked(update: Update) -> bool:
        is_later = isinstance(update, Transaction) and update.currency == "ETH" and (update.occurred_ms or 0) > until_ms
        return not is_later

    recording.answered = [
        (payload, decoded._replace(updates=tuple(filter(is_asked, decoded.updates))))
        for payload, decoded in recording.answered
    ]
    spot = {one.currency for one in listed if one.symbol == "ETH_USDC" and (one.occurred_ms or 0) > until_ms}
    assert spot == {"ETH", "USDC"}
    books = writer.books(writer.write_recording(recording))
    assert [change for book in books for change in book.changes] == []
    assert {book.unexplained for book in books} == {D(0)}


def moves(symbol: str, side: str, price: str, quantity: str, fee: str, fee_currency: str) -> tuple[Move, ...] | None:
    fill = Execution(None, symbol, side, D(price), D(quantity), D(fee), fee_currency, D("0.5"))
    return ACCOUNTING.ledger.moves(fill, ACCOUNTING.instrument(symbol)) if ACCOUNTING.ledger else None


@pytest.mark.parametrize("symbol", ["BTC-PERPETUAL", "BTC-25DEC26"])
def test_a_fill_of_a_future_moves_its_fee_only(symbol: str) -> None:
    assert moves(symbol, "buy", "91500", "40", "-4E-8", "BTC") == (Move(None, "BTC", D("4E-8"), D("-4E-8")),)
    (linear,) = moves("BTC_USDC-PERPETUAL", "sell", "91500", "0.1", "4.575", "USDC") or ()
    assert (linear.currency, linear.amount) == ("USDC", D("-4.575"))


def test_an_options_premium_is_paid_at_once() -> None:
    (paid,) = moves("BTC-25DEC26-100000-C", "buy", "0.0282", "0.5", "1.5E-4", "BTC") or ()
    assert (paid.currency, paid.amount) == ("BTC", D("-0.01425"))
    (received,) = moves("XRP_USDC-30JUN26-0d625-P", "sell", "0.05", "1000", "0.25", "USDC") or ()
    assert (received.currency, received.amount) == ("USDC", D("49.75"))


def test_spot_exchanges_two_currencies() -> None:
    found = {one.currency: one.amount for one in moves("ETH_USDC", "buy", "3000", "2", "0.001", "ETH") or ()}
    assert found == {"ETH": D("1.999"), "USDC": D("-6000")}


def test_what_a_combos_fill_would_do_is_not_known() -> None:
    assert moves("BTC-FS-25DEC26_PERP", "buy", "12", "40", "0", "BTC") is None


def test_both_transactions_of_a_settlement_count_each_once(tmp_path: Path) -> None:
    """They have one id, that of their entry, and two types; the answer came twice."""
    desk = Desk(tmp_path / "record.db")
    payload, target = sample("rest-transaction-log"), f"{answers.LOG}?currency=BTC"
    decoded = asked(target, payload)
    for seq in range(2):
        state = decoded.topic, decoded.status, decoded.error
        frame = Frame(ACCOUNT, SESSION + 1, seq, NOON_NS + seq, REST, *state, payload)
        desk.write(Recorded(frame, decoded.rows))
    query = text("SELECT type, amount FROM transaction_history WHERE symbol = 'BTC-PERPETUAL' ORDER BY type")
    with desk.engine.connect() as connection:
        rows = [(kind, D(str(amount)).quantize(D("1E-8"))) for kind, amount in connection.execute(query)]
    assert rows == [("funding", D("-0.00000125")), ("settlement", D("3E-7")), ("trade", D("4E-8"))]
