"""Books by the ledger, whose entries name no market: a trade is two of them, one of each currency, with its id."""

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, TypeGuard, cast

import pytest

from recorder.clock import NS_PER_S
from recorder.model import Transaction, Update
from recorder.venues import venue_named
from recorder.venues.kraken import answers
from recorder.venues.kraken.stand_in.spelling import code_of
from recorder.venues.reading import read_answer, read_frame
from tests.unit.kraken.frames import event, push
from tests.unit.read.ledger_writer import Writer
from tests.unit.read.recordings import Recording

D = Decimal
#: When the sample's trade happened, seconds since 1970.
TRADED_S = D("1790736805.118")

#: Type, currency, amount and fee of an entry of the ledger.
Listed = tuple[str, str, str, str]
BOUGHT: Listed = ("trade/tradespot", "BTC", "0.0075000000", "0.0000000000")


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Writer]:
    yield Writer(tmp_path_factory.mktemp("books") / "record.db")


def test_a_trading_account_leaves_nothing_unexplained_and_what_the_ledger_left_out_is_named(writer: Writer) -> None:
    # For longer than a fill and its transactions may be apart.
    recording = Recording("kraken", 5, pushes=2_000)
    books = writer.books(writer.write_recording(recording))
    assert [change for book in books for change in book.changes] == []
    assert {book.unexplained for book in books} == {D(0)}
    assert {"BTC", "ETH", "USD"} <= {book.currency for book in books}
    assert sum(abs(book.realized_pnl) for book in books) > 0

    # The dollars of one trade in the middle are missing in the ledger.
    dollars = [one for _, decoded in recording.answered for one in decoded.updates if is_trade_in_dollars(one)]
    lost = dollars[len(dollars) // 2]
    recording.answered = [
        (payload, decoded._replace(updates=tuple(one for one in decoded.updates if one != lost)))
        for payload, decoded in recording.answered
    ]
    changes = [one for book in writer.books(writer.write_recording(recording)) for one in book.changes]
    # The balance that changes without it, and its fill, which has more digits.
    named = {(one.currency, round(abs(one.amount), 3)) for one in changes}
    assert named == {("USD", round(abs(D(lost.amount or 0)), 3))}
    assert lost.trade_id in {one.trade_id for one in changes}


def is_trade_in_dollars(one: Update) -> TypeGuard[Transaction]:
    return isinstance(one, Transaction) and (one.type, one.currency) == ("trade", "USD")


def told(fill: Mapping[str, Any], entries: Sequence[Listed], coins: Sequence[str] = ("USD", "BTC")) -> Recording:
    """What is recorded of an account with one fill, and with deposits of coins before and long after it."""
    trade_id, balances = event("executions-trade")["exec_id"], dict.fromkeys(("USD", "BTC", "AAPLx"), D("9998.0000"))
    owned = [{"asset": coin, "balance": float(balance)} for coin, balance in balances.items()]
    rows: dict[str, dict[str, object]] = {}
    deposited = [("deposit", coin, f"{round(D(1), 4 if coin == 'USD' else 10)}", "0") for coin in coins]
    for apart_s, several in ((-60, deposited), (0, entries), (60, deposited)):
        for kind, coin, amount, fee in several:
            balances[coin] += D(amount) - D(fee)
            of, _, subtype = kind.partition("/")
            rows[f"L{len(rows)}"] = {
                "refid": trade_id if apart_s == 0 else f"Q{len(rows)}",
                "time": float(TRADED_S + apart_s),
                "type": of,
                "subtype": subtype,
                "aclass": "currency",
                "asset": code_of(coin),
                "amount": amount,
                "fee": fee,
                "balance": str(balances[coin]),
            }
    venue, target = venue_named("kraken"), f"POST {answers.LEDGER}"
    answer = json.dumps({"error": [], "result": {"ledger": rows, "count": len(rows)}}).encode()
    pushed = [(apart_s, push("executions", {**event("executions-trade"), **fill})) for apart_s in (0, 120)]
    pushed.insert(0, (-120, push("balances", *owned, kind="snapshot")))
    recording = SimpleNamespace(
        venue=venue,
        pushed=[(int((TRADED_S + apart_s) * NS_PER_S), one, read_frame(venue, one)) for apart_s, one in pushed],
        answered=[(answer, read_answer(venue, target, answer))],
    )
    return cast(Recording, recording)


@pytest.mark.parametrize(
    ("entries", "difference"),
    [
        ([BOUGHT, ("trade/tradespot", "USD", "-631.5758", "1.5789")], None),
        # Cut, not rounded.
        ([BOUGHT, ("trade", "USD", "-631.5757", "1.5789")], None),
        # By more than one unit of each.
        ([BOUGHT, ("trade", "USD", "-631.5759", "1.5790")], D("-0.00021")),
        ([("trade", "BTC", "0.0074999999", "0.0000000000"), ("trade", "USD", "-631.5758", "1.5789")], None),
        ([("trade", "BTC", "0.0074999998", "0.0000000000"), ("trade", "USD", "-631.5758", "1.5789")], D("-2E-10")),
        # Paid for from two wallets: four numbers are rounded.
        ([BOUGHT, ("trade", "USD", "-300.0001", "0.7501"), ("trade", "USD", "-331.5758", "0.8289")], None),
    ],
)
def test_what_the_ledger_rounds_is_no_difference_and_more_is(
    writer: Writer, entries: list[Listed], difference: Decimal | None
) -> None:
    changes = [one for book in writer.books(writer.write_recording(told({}, entries))) for one in book.changes]
    assert [one.amount for one in changes] == ([] if difference is None else [difference])


def test_what_the_ledger_rounds_to_nothing_has_no_entry(writer: Writer) -> None:
    dust = {"last_qty": 1e-8, "last_price": 1000, "fees": [{"asset": "USD", "qty": 0}]}
    entry = ("trade", "BTC", "0.0000000100", "0.0000000000")
    books = writer.books(writer.write_recording(told(dust, [entry])))
    assert [one for book in books for one in book.changes] == []
    assert sum(book.fills for book in books) == 1


@pytest.mark.parametrize(
    "entries",
    [
        # Opened, closed, and settled.
        [("margin", "USD", "0.0000", "1.5789")],
        [("margin", "USD", "-12.3400", "1.5789"), ("margin", "BTC", "-0.0001000000", "0.0000000000")],
        [("settled", "BTC", "0.0074900000", "0.0000000000"), ("settled", "USD", "-631.0000", "0.0000")],
    ],
)
def test_a_fill_on_margin_is_no_exchange_and_its_entries_explain_the_balances(
    writer: Writer, entries: list[Listed]
) -> None:
    books = writer.books(writer.write_recording(told({"margin": True}, entries)))
    assert [one for book in books for one in book.changes] == []
    assert {book.unexplained for book in books} == {D(0)}
    # As an exchange, they differ by the whole size.
    exchanged = [("trade", *rest) for _, *rest in entries]
    books = writer.books(writer.write_recording(told({}, cast(Any, exchanged))))
    assert [one.amount for book in books for one in book.changes if one.currency == "USD"] != []


SHARES = {"symbol": "AAPLx/USD"}


def test_what_is_in_a_list_that_was_not_answered_is_not_missing(writer: Writer) -> None:
    """Entries of tokenized assets are in a list of their own."""
    dollars = ("trade", "USD", "-631.5758", "1.5789")
    books = writer.books(writer.write_recording(told(SHARES, [dollars])))
    assert [one for book in books for one in book.changes] == []
    books = writer.books(writer.write_recording(told(SHARES, [dollars], coins=("USD", "AAPLx"))))
    assert [(one.currency, one.amount) for book in books for one in book.changes] == [("AAPLx", D("-0.0075"))]
    books = writer.books(writer.write_recording(told(SHARES, [("trade", "AAPLx", "0.0075", "0")], coins=("USD",))))
    assert [one.currency for book in books for one in book.changes] == ["USD"]
