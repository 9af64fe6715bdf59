"""Fills and bills in the books: what can be compared is compared, and the rest is not called a difference."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recorder.clock import NS_PER_MS, NS_PER_S
from recorder.live.channel import Recorded
from recorder.model import DECODED, PUSH, REST, Decoded, Frame
from recorder.read.records import Book
from recorder.store.entries import ReconciliationBegan, ReconciliationEnded
from tests.made import RUN
from tests.unit.okx.frames import answer, asked, push, read, row
from tests.unit.read.ledger_writer import Writer

BEGAN_MS = 1_790_736_800_000
MINUTE_MS = 60_000
ORDER_ID = "3967288020668911111"


class Told:
    """What OKX says of an account: orders and balances as pushed, and its bills."""

    def __init__(self, **balances: str) -> None:
        self.at_ms = BEGAN_MS
        self.balances = {currency: Decimal(balance) for currency, balance in balances.items()}
        self.pushed: list[tuple[int, Decoded, bytes]] = []
        self.bills: list[dict[str, Any]] = []
        self._see()

    def trade(self, fill: dict[str, str], *bills: dict[str, str]) -> None:
        """A fill, and what it does to balances; the next one comes a minute later."""
        self.at_ms += MINUTE_MS
        at = str(self.at_ms)
        ids = {"instId": fill["instId"], "instType": fill["instType"], "tradeId": at, "ordId": ORDER_ID}
        filled = {"fillTime": at, "uTime": at, "cTime": at, "state": "filled", "accFillSz": fill["fillSz"]}
        self._push(push("orders", row("orders") | filled | ids | fill))
        for one in bills:
            self.bill(**{"type": "2", **ids, **one})
        self._see()

    def bill(self, **bill: str) -> None:
        """A bill, and so a balance."""
        self.balances[bill["ccy"]] += Decimal(bill["balChg"])
        bal = str(self.balances[bill["ccy"]])
        number = str(3_800_000_000_000_000_000 + len(self.bills))
        nothing = {"posBalChg": "0", "posBal": "0", "subType": "1", "ts": str(self.at_ms)}
        self.bills.insert(0, {"billId": number, "bal": bal, **nothing, **bill})

    def books(self, folder: Path) -> list[Book]:
        """The books, after a last transfer of each currency that shows that everything before was asked for."""
        self.at_ms += MINUTE_MS
        for currency in self.balances:
            self.bill(type="1", ccy=currency, balChg="1")
        self._see()
        writer = Writer(folder / "recorder.db")
        name, account_id, entries = writer._account("okx", BEGAN_MS * NS_PER_MS - NS_PER_S)
        began_ns = (self.at_ms + MINUTE_MS) * NS_PER_MS
        self.at_ms += 2 * MINUTE_MS
        self._see()
        frames = [
            Recorded(
                Frame(account_id, account_id, seq, at_ms * NS_PER_MS, PUSH, one.topic, DECODED, None, payload),
                one.updates,
            )
            for seq, (at_ms, one, payload) in enumerate(self.pushed)
        ]
        round_id, payload = account_id + 1_000_000, answer(*self.bills)
        one = asked("/api/v5/account/bills?limit=100", payload)
        key = account_id, round_id, 0, began_ns + NS_PER_S
        frames.append(Recorded(Frame(*key, REST, one.topic, DECODED, None, payload), one.updates))
        entries += [
            ReconciliationBegan(account_id, round_id, RUN, began_ns, "regular"),
            ReconciliationEnded(account_id, round_id, account_id, began_ns + 2 * NS_PER_S, "answered", ""),
        ]
        writer.desk.write(*frames, entries=entries)
        return writer.books(name)

    def _see(self) -> None:
        at = str(self.at_ms)
        details = [{"ccy": one, "cashBal": str(balance), "uTime": at} for one, balance in self.balances.items()]
        self._push(push("account", {"uTime": at, "details": details}, eventType="event_update"))

    def _push(self, payload: bytes) -> None:
        one = read(payload)
        assert one.status == DECODED
        self.pushed.append((self.at_ms, one, payload))


def findings(books: list[Book]) -> dict[str, list[Decimal]]:
    """What is found in each currency."""
    return {book.currency: [change.amount for change in book.changes] for book in books}


@pytest.mark.parametrize("mode", ["cross", "isolated"])
@pytest.mark.parametrize("wrong", ["0", "0.5"])
def test_a_bill_of_an_isolated_position_moves_its_margin_and_is_not_the_fill_s(
    tmp_path: Path, mode: str, wrong: str
) -> None:
    """Of a cross position, a fee that differs is a finding. The balances of both are explained by the bills."""
    told = Told(USDT="10000")
    for side, pnl, margin in (("buy", "0", "-84.1"), ("sell", "12.5", "84.1")):
        moved = Decimal(pnl) - Decimal("0.42") + Decimal(wrong) + Decimal(margin if mode == "isolated" else 0)
        fill = {
            "instType": "SWAP",
            "instId": "BTC-USDT-SWAP",
            "tdMode": mode,
            "side": side,
            "fillPx": "84100",
            "fillSz": "1",
            "fillFee": "-0.42",
            "fillFeeCcy": "USDT",
            "fillPnl": pnl,
        }
        told.trade(fill, {"ccy": "USDT", "balChg": str(moved), "pnl": pnl, "fee": "-0.42", "mgnMode": mode})
    books = told.books(tmp_path)
    assert [book.unexplained for book in books] == [0]
    differs = mode == "cross" and wrong != "0"
    assert findings(books) == {"USDT": [Decimal(wrong)] * 2 if differs else []}


@pytest.mark.parametrize(("symbol", "paid"), [("BTC-USDT", "USDT"), ("BTC-USD", "USD"), ("BTC-USD", "USDC")])
@pytest.mark.parametrize("wrong", ["0", "5"])
def test_a_spot_fill_may_be_paid_in_another_quote_currency(tmp_path: Path, symbol: str, paid: str, wrong: str) -> None:
    """Which one, only the order says: what was paid is not compared, and the balances are explained by the bills."""
    told = Told(**{"BTC": "0", "USD": "5000", paid: "5000"})
    fill = {
        "instType": "SPOT",
        "instId": symbol,
        "tradeQuoteCcy": paid,
        "tdMode": "cash",
        "side": "buy",
        "posSide": "",
        "fillPx": "84100",
        "fillSz": "0.01",
        "fillFee": "-0.00001",
        "fillFeeCcy": "BTC",
        "fillPnl": "0",
    }
    paid_out = {"ccy": paid, "balChg": str(Decimal("-841") - Decimal(wrong)), "subType": "2"}
    got = {"ccy": "BTC", "balChg": str(Decimal("0.00999") - Decimal(wrong)), "fee": "-0.00001"}
    told.trade(fill, got, paid_out)
    books = told.books(tmp_path)
    assert {book.unexplained for book in books} == {0}
    found = {currency: amounts for currency, amounts in findings(books).items() if amounts}
    expected = {"BTC": [-Decimal(wrong)], **({"USDT": [-Decimal(wrong)]} if paid == "USDT" else {})}
    assert found == ({} if wrong == "0" else expected)


def test_what_a_fill_of_a_prediction_market_does_is_not_documented_and_no_finding(tmp_path: Path) -> None:
    told = Told(USDT="10000")
    fill = {
        "instType": "EVENTS",
        "instId": "BTC-ABOVE-DAILY-260224-1600-65000",
        "tdMode": "cash",
        "side": "buy",
        "posSide": "",
        "fillPx": "0.42",
        "fillSz": "10",
        "fillFee": "-0.01",
        "fillFeeCcy": "USDT",
        "fillPnl": "0",
    }
    told.trade(fill, {"ccy": "USDT", "balChg": "-4.21", "fee": "-0.01"})
    books = told.books(tmp_path)
    assert {book.unexplained for book in books} == {0}
    assert findings(books) == {"USDT": []}
