"""ccxt.pro at Deribit's stand-in: it follows orders, trades and balances in channels of their own, and asks over REST.

The recorder follows `user.changes`, which shows orders and trades together: what the client understood of a fill, an
order, a balance is compared with our rows of the same thing.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path
from time import time_ns
from typing import Any

import pytest

from recorder.simulator import Simulator
from tests.clients.listening import conversation, number
from tests.clients.test_against_stand_ins import STAND_IN, exchange, record
from tests.clients.watching import Stored

pytestmark = pytest.mark.clients

PATIENCE_S = 60.0
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


class Client:
    """A client of ccxt.pro that keeps what it has understood."""

    def __init__(self, simulator: Simulator) -> None:
        import ccxt.pro

        self.api = ccxt.pro.deribit({"number": str, "enableRateLimit": False})
        self.api.apiKey, self.api.secret = simulator.key, simulator.secret
        socket = f"ws://127.0.0.1:{simulator.port}/ws/api/v2"
        self.api.urls["api"] = {"rest": simulator.url, "ws": socket}
        self.api.has["fetchCurrencies"] = False
        # Its own are milliseconds, and two requests of one millisecond would have the same one, which counts once.
        self.api.nonce = count(time_ns() // 1_000_000).__next__
        self.orders: dict[str, Any] = {}
        self.trades: dict[str, Any] = {}
        self.balances: dict[str, Any] = {}
        original = self.api.handle_message

        def keep(line: Any, message: Any) -> None:
            original(line, message)
            channel = message.get("params", {}).get("channel", "")
            for one in self.api.orders or ():
                self.orders[one["id"]] = one
            if channel.startswith("user.trades"):
                for one in message["params"]["data"]:
                    self.trades[one["trade_id"]] = self.api.parse_trade(one)
            if channel.startswith("user.portfolio"):
                currency = message["params"]["data"]["currency"]
                self.balances[currency] = self.api.balance[currency]

        self.api.handle_message = keep

    async def follow(self, name: str) -> None:
        """Wait for what comes, again and again."""
        with suppress(asyncio.CancelledError):
            while True:
                await getattr(self.api, name)()


def subscribed(simulator: Simulator) -> int:
    return sum(one.kind == "answer" and b'"result":["user.' in one.payload for one in simulator.sent)


def latest(kept: list[Stored], table: str, key: str) -> dict[str, Any]:
    """The last row of each thing."""
    return {getattr(row, key): row for one in kept for name, row in one.rows if name == table}


def test_ccxt_understands_what_is_stored(tmp_path: Path) -> None:
    with exchange("deribit") as simulator, conversation("deribit", "ccxt.pro", STAND_IN) as counts:
        client, kept = asyncio.run(watch(tmp_path, simulator))
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


async def watch(path: Path, simulator: Simulator) -> tuple[Client, list[Stored]]:
    """Record while a client follows the account."""
    client = Client(simulator)
    try:
        await client.api.load_markets()
        names = ("watch_orders", "watch_my_trades", "watch_balance")
        tasks = [asyncio.create_task(client.follow(name)) for name in names]
        async with asyncio.timeout(PATIENCE_S):
            while subscribed(simulator) < len(names):
                await asyncio.sleep(0.01)
        kept = await asyncio.to_thread(record, path, simulator)
        expected = {row.trade_id for one in kept for name, row in one.rows if name == "fills"}
        async with asyncio.timeout(PATIENCE_S):
            while not client.trades.keys() >= expected:
                await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
    finally:
        await client.api.close()
    return client, kept


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
        trades, balance, positions, orders = asyncio.run(ask(simulator))
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


async def ask(simulator: Simulator) -> tuple[Any, ...]:
    """What REST says to ccxt."""
    client = Client(simulator)
    try:
        await client.api.load_markets()
        trades: list[Any] = []
        orders: list[Any] = []
        for code in CURRENCIES:
            trades += await client.api.fetch_my_trades(None, 1, 1_000, {"code": code, "end_timestamp": 2**42})
            orders += await client.api.fetch_open_orders(None, None, None, {"code": code})
        return trades, await client.api.fetch_balance(), await client.api.fetch_positions(), orders
    finally:
        await client.api.close()
