"""ccxt.pro at Deribit's stand-in: it follows orders, trades and balances in channels of their own, and asks over REST.

The recorder follows `user.changes`, which shows orders and trades together: what the client understood of a fill, an
order, a balance is compared with our rows of the same thing.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from time import time_ns
from typing import Any

import pytest

from recorder.replay.serving import Serving, ServingOptions
from recorder.simulator import Simulator
from tests.clients.listening import conversation, number
from tests.clients.test_against_stand_ins import SERVED, STAND_IN, exchange, record
from tests.clients.watching import CcxtClient, Stored

pytestmark = pytest.mark.clients

CURRENCIES = ("BTC", "ETH", "USDC")
#: Our statuses of orders in ccxt's words.
STATUSES = {
    "pending": "open",
    "new": "open",
    "partially_filled": "open",
    "filled": "closed",
    "canceled": "canceled",
    "rejected": "rejected",
    "expired": "triggered",
}


class Client(CcxtClient):
    """A client that keeps what it has understood."""

    watched: Sequence[str] = ("watch_orders", "watch_my_trades", "watch_balance")

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.orders: dict[str, Any] = {}
        self.trades: dict[str, Any] = {}
        self.balances: dict[str, Any] = {}

    def make(self, url: str, key: str, secret: str) -> Any:
        """A client that talks to a stand-in instead of the exchange."""
        import ccxt.pro

        client = ccxt.pro.deribit({"apiKey": key, "secret": secret, "number": str, "enableRateLimit": False})
        client.urls["api"] = {"rest": url, "ws": f"{url.replace('http', 'ws', 1)}/ws/api/v2"}
        client.has["fetchCurrencies"] = False
        # Its own are milliseconds, and two requests of one millisecond would have the same one, which counts once.
        client.nonce = count(time_ns() // 1_000_000).__next__
        return client

    def hear(self, handle: Callable[[Any, Any], None], line: Any, message: Any) -> None:
        """Keep what ccxt understood of a frame."""
        handle(line, message)
        channel = message.get("params", {}).get("channel", "")
        self.orders |= {one["id"]: one for one in self.client.orders or ()}
        if channel.startswith("user.trades"):
            for one in message["params"]["data"]:
                self.trades[one["trade_id"]] = self.client.parse_trade(one)
        if channel.startswith("user.portfolio"):
            currency = message["params"]["data"]["currency"]
            self.balances[currency] = self.client.balance[currency]


class Asking(Client):
    """A client that only asks."""

    watched = ()


def subscribed(simulator: Simulator) -> int:
    return sum(one.kind == "answer" and b'"result":["user.' in one.payload for one in simulator.sent)


def latest(kept: list[Stored], table: str, key: str) -> dict[str, Any]:
    """The last row of each thing."""
    return {getattr(row, key): row for one in kept for name, row in one.rows if name == table}


def test_ccxt_understands_what_is_stored_and_a_served_record(tmp_path: Path) -> None:
    with exchange("deribit") as simulator, conversation("deribit", "ccxt.pro", STAND_IN) as counts:
        with Client(simulator.url, simulator.key, simulator.secret) as client:
            client.wait(lambda: subscribed(simulator) >= len(client.watched))
            kept = record(tmp_path, simulator)
            client.wait(lambda: client.trades.keys() >= latest(kept, "fills", "trade_id").keys())
        compare_all(client, kept, counts)
    url = f"sqlite:///{tmp_path / 'recorder.db'}"
    with Serving(url, ServingOptions(speed=None)) as serving, conversation("deribit", "ccxt.pro", SERVED) as counts:
        with Client(serving.url, serving.keys[-1], serving.options.secret, client.markets) as again:
            again.wait(lambda: again.trades.keys() >= latest(kept, "fills", "trade_id").keys())
            serving.wait_finished(timeout_s=60)
        compare_all(again, kept, counts)


def compare_all(client: Client, kept: list[Stored], counts: Counter[str]) -> None:
    """The last that the client heard of each fill, order and balance is what the last typed row says."""
    fills, orders = latest(kept, "fills", "trade_id"), latest(kept, "order_updates", "order_id")
    assert client.trades.keys() >= fills.keys() and len(fills) > 20
    for trade_id, ours in fills.items():
        compare_fill(ours, client.trades[trade_id], counts)
    assert client.orders.keys() >= orders.keys()
    for order_id, ours in orders.items():
        compare_order(ours, client.orders[order_id], counts)
    balances = latest(kept, "account_updates", "currency")
    assert client.balances.keys() == balances.keys() == set(CURRENCIES)
    for currency, ours in balances.items():
        theirs = client.balances[currency]
        assert number(theirs["free"][currency]) == number(ours.available)
        counts["agree"] += 1
    counts["sent"] = counts["understood"] = len(client.trades) + len(client.orders)
    counts["stored"] = len(fills) + len(orders)


def compare_fill(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    """Compare a fill."""
    assert (theirs["order"], theirs["side"], theirs["takerOrMaker"]) == (ours.order_id, ours.side, ours.liquidity)
    assert theirs["timestamp"] == ours.executed_ms
    assert (number(theirs["price"]), number(theirs["amount"])) == (number(ours.price), number(ours.quantity))
    assert (number(theirs["fee"]["cost"]), theirs["fee"]["currency"]) == (number(ours.fee), ours.fee_currency)
    counts["agree"] += 1


def compare_order(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    """Compare the last state of an order."""
    assert (theirs["side"], theirs["status"]) == (ours.side, STATUSES[ours.status])
    assert (theirs["timestamp"], number(theirs["amount"])) == (ours.created_ms, number(ours.quantity))
    assert ours.filled_quantity is None or number(theirs["filled"]) == number(ours.filled_quantity)
    assert ours.order_type != "limit" or number(theirs["price"]) == number(ours.price)
    counts["agree"] += 1


def test_ccxt_asks_what_is_stored(tmp_path: Path) -> None:
    with exchange("deribit") as simulator, conversation("deribit", "ccxt REST: fills", STAND_IN) as counts:
        kept = record(tmp_path, simulator)
        trades: list[Any] = []
        orders: list[Any] = []
        with Asking(simulator.url, simulator.key, simulator.secret) as client:
            for code in CURRENCIES:
                trades += client.ask("fetch_my_trades", None, 1, 1_000, {"code": code, "end_timestamp": 2**42})
                orders += client.ask("fetch_open_orders", None, None, None, {"code": code})
            balance, positions = client.ask("fetch_balance"), client.ask("fetch_positions")
        fills = {row.trade_id: row.price for one in kept for name, row in one.rows if name == "fills"}
        assert {one["id"]: number(one["price"]) for one in trades} == {of: number(price) for of, price in fills.items()}
        assert {of for of in CURRENCIES if balance["total"].get(of)} == set(CURRENCIES)
        held = {row.symbol: row.quantity for one in kept for name, row in one.rows if name == "position_updates"}
        assert {one["info"]["instrument_name"] for one in positions} == {of for of, size in held.items() if float(size)}
        listed = {row.order_id: row.status for one in kept for name, row in one.rows if name == "order_updates"}
        assert {one["id"] for one in orders} == {
            of for of, status in listed.items() if status in {"pending", "new", "partially_filled"}
        }
        counts["sent"] = counts["understood"] = len(trades)
        counts["stored"] = len(fills)
