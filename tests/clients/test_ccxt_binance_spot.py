"""ccxt.pro at the stand-in of Binance spot and at a served record: it understands what the recorder stores."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from recorder.replay.serving import Serving, ServingOptions
from recorder.venues.binance_spot.portal import PATH
from tests.clients.listening import conversation, number
from tests.clients.test_against_stand_ins import SERVED, STAND_IN, exchange, pushes, reconcile, record
from tests.clients.watching import CcxtClient, Stored, same

pytestmark = pytest.mark.clients

VENUE = "binance_spot"
SYMBOL = "BTC/USDT"
#: Our statuses of orders in ccxt's words.
STATUSES = {"pending": "open", "new": "open", "partially_filled": "open", "filled": "closed"}
STATUSES |= {"canceled": "canceled", "expired": "expired", "rejected": "rejected"}


class Watching(CcxtClient):
    """A client of spot, what it heard, and what it gave to those who wait."""

    watched = ("watch_orders", "watch_my_trades", "watch_balance")

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.events: list[Any] = []
        self.answers: list[Any] = []
        #: Id → each state that it was given, in order.
        self.orders: dict[str, list[Any]] = {}
        self.trades: dict[str, Any] = {}

    def make(self, url: str, key: str, secret: str) -> Any:
        """A client that talks to a stand-in instead of the exchange. Make it in its event loop."""
        import ccxt.pro

        options = {"fetchCurrencies": False, "fetchMarkets": {"types": ["spot"]}, "fetchMargins": False}
        client = ccxt.pro.binance(
            {"apiKey": key, "secret": secret, "number": str, "enableRateLimit": False, "options": options}
        )
        client.has["fetchCurrencies"] = False
        api = client.urls["api"]
        for name, path in (("public", "/api/v3"), ("private", "/api/v3"), ("sapi", "/sapi/v1")):
            api[name] = url + path
        api["ws"]["ws-api"]["spot"] = url.replace("http", "ws", 1) + PATH
        return client

    def hear(self, handle: Callable[[Any, Any], None], line: Any, message: Any) -> None:
        """Keep the frame."""
        (self.events if "event" in message else self.answers).append(message)
        handle(line, message)

    def given(self, method: str, found: Any) -> None:
        """Keep orders and trades."""
        if method == "watch_orders":
            for order in found:
                self.orders.setdefault(order["id"], []).append(dict(order))
        elif method == "watch_my_trades":
            self.trades |= {trade["id"]: dict(trade) for trade in found}


def check_trade(ours: Any, theirs: Any) -> None:
    assert (theirs["order"], theirs["side"], theirs["takerOrMaker"]) == (ours.order_id, ours.side, ours.liquidity)
    assert theirs["timestamp"] == ours.executed_ms
    assert (number(theirs["price"]), number(theirs["amount"])) == (number(ours.price), number(ours.quantity))
    fee = theirs["fee"]
    assert (number(fee["cost"]), fee["currency"]) == (number(ours.fee), ours.fee_currency)


def check_order(ours: Any, theirs: Any) -> None:
    assert (theirs["clientOrderId"], theirs["side"]) == (ours.client_order_id, ours.side)
    assert theirs["status"] == STATUSES[ours.status]
    assert theirs["timestamp"] == ours.created_ms
    assert (number(theirs["amount"]), number(theirs["filled"])) == (number(ours.quantity), number(ours.filled_quantity))
    assert number(theirs["triggerPrice"]) == number(ours.trigger_price)
    if ours.price is not None:
        assert number(theirs["price"]) == number(ours.price)
    if ours.average_price is not None and ours.filled_quantity is not None:
        assert number(theirs["average"]) == pytest.approx(number(ours.average_price))


def compare(client: Watching, kept: Iterable[Stored], counts: Counter[str]) -> None:
    """What ccxt was given of each order, trade and balance is what the typed rows of the same frames say."""
    balances: dict[str, Any] = {}
    last: dict[str, Any] = {}
    for table, row in (one for stored in kept for one in stored.rows):
        if table == "fills":
            check_trade(row, client.trades[row.trade_id])
            counts["agree"] += 1
        elif table == "order_updates":
            last[row.order_id] = row
        elif table == "account_updates":
            balances[row.currency] = row
    for order_id, row in last.items():
        check_order(row, client.orders[order_id][-1])
        counts["agree"] += 1
    for currency, row in balances.items():
        theirs = client.client.balance["spot"][currency]
        assert (number(theirs["free"]), number(theirs["used"])) == (number(row.available), number(row.locked))
        counts["agree"] += 1


def ids(kept: Iterable[Stored], table: str, symbol: str) -> set[str]:
    name = "trade_id" if table == "fills" else "order_id"
    rows = (row for stored in kept for kind, row in stored.rows if kind == table and row.symbol == symbol)
    return {getattr(row, name) for row in rows}


def ask(client: Watching, kept: list[Stored]) -> None:
    """What ccxt asks over REST is what was pushed."""
    assert ids(kept, "fills", "BTCUSDT") <= {one["id"] for one in client.ask("fetch_my_trades", SYMBOL)}
    orders = {one["id"]: one for one in client.ask("fetch_orders", SYMBOL)}
    assert ids(kept, "order_updates", "BTCUSDT") <= orders.keys()
    some = next(iter(orders))
    assert client.ask("fetch_order", some, SYMBOL)["info"] == orders[some]["info"]
    opened = {one["id"] for one in orders.values() if one["status"] == "open"}
    assert {one["id"] for one in client.ask("fetch_open_orders", SYMBOL)} == opened
    assert client.ask("fetch_balance")["total"].keys() >= {"USDT", "BTC"}


def test_ccxt_understands_what_is_stored_and_a_served_record(tmp_path: Path) -> None:
    with exchange(VENUE) as simulator, conversation(VENUE, "ccxt.pro", STAND_IN) as counts:
        with Watching(simulator.url, simulator.key, simulator.secret) as client:
            client.wait(lambda: any("subscriptionId" in (one.get("result") or {}) for one in client.answers))
            kept = record(tmp_path, simulator)
            sent = pushes(simulator, 1)
            client.wait(lambda: not Counter(sent) - Counter(map(same, client.events)))
            mine = [one for one in kept if one.frame in set(sent)]
            client.wait(lambda: ids(mine, "fills", "BTCUSDT") <= client.trades.keys())
            compare(client, mine, counts)
            ask(client, mine)
        counts["understood"] = counts["sent"] = len(sent)
        reconcile(sent, map(same, client.events), [one.frame for one in kept], counts)
    url = f"sqlite:///{tmp_path / 'recorder.db'}"
    with (
        Serving(url, ServingOptions(speed=None)) as serving,
        conversation(VENUE, "ccxt.pro", SERVED) as counts,
    ):
        with Watching(serving.url, serving.keys[-1], serving.options.secret, client.markets) as again:
            again.wait(lambda: len(again.events) >= len(kept))
            serving.wait_finished(timeout_s=60)
            compare(again, kept, counts)
            ask(again, kept)
        assert list(map(same, again.events)) == [one.frame for one in kept]
        counts["sent"] = counts["stored"] = counts["understood"] = len(kept)
        assert all(json.loads(one.frame)["subscriptionId"] == 0 for one in kept)
