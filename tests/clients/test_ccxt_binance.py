"""ccxt.pro at the stand-in of Binance futures and at a served record: it understands what the recorder stores."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from recorder.replay.serving import Serving, ServingOptions
from tests.clients.listening import conversation, number
from tests.clients.test_against_stand_ins import SERVED, STAND_IN, exchange, pushes, reconcile, record
from tests.clients.watching import CcxtClient, Stored, same

pytestmark = pytest.mark.clients

VENUE = "binance"
#: Our statuses of orders in ccxt's words. A conditional order that was triggered is over.
STATUSES = {"pending": "open", "new": "open", "partially_filled": "open", "filled": "closed"}
STATUSES |= {"canceled": "canceled", "expired": "expired", "rejected": "rejected"}


def unified(symbol: str) -> str:
    """A symbol in ccxt's words: `BTC/USDT:USDT`, `BTC/USDT:USDT-261225`."""
    pair, _, date = symbol.partition("_")
    base, quote = pair[:3], pair[3:]
    return f"{base}/{quote}:{quote}" + (f"-{date}" if date else "")


class Watching(CcxtClient):
    """A client of USD-M futures, and what it heard."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.events: list[Any] = []

    def make(self, url: str, key: str, secret: str) -> Any:
        """A client that talks to a stand-in instead of the exchange. Make it in its event loop."""
        import ccxt.pro

        options = {
            "fetchCurrencies": False,
            "fetchMarkets": {"types": ["linear"]},
            "fetchMargins": False,
            "watchPositions": {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False},
            "watchBalance": {"fetchBalanceSnapshot": False, "awaitBalanceSnapshot": False},
        }
        client = ccxt.pro.binanceusdm(
            {"apiKey": key, "secret": secret, "number": str, "enableRateLimit": False, "options": options}
        )
        client.has["fetchCurrencies"] = False
        api = client.urls["api"]
        for name in list(api):
            if isinstance(api[name], str) and api[name].startswith("https://fapi.binance.com"):
                api[name] = api[name].replace("https://fapi.binance.com", url)
        api["ws"]["linear"] = url.replace("http", "ws", 1) + "/ws"
        return client

    def hear(self, handle: Callable[[Any, Any], None], line: Any, message: Any) -> None:
        """Keep the frame."""
        self.events.append(deepcopy(message))  # it changes some
        handle(line, message)

    @property
    def orders(self) -> dict[str, Any]:
        """Id → the newest state that the client has of an order."""
        return {order["id"]: order for order in self.client.orders or ()}

    @property
    def trades(self) -> dict[tuple[str, str], Any]:
        """Symbol and id → trade."""
        return {(trade["symbol"], trade["id"]): trade for trade in self.client.myTrades or ()}

    @property
    def positions(self) -> dict[str, Any]:
        """Symbol → the newest state that the client has of a position."""
        return {one["symbol"]: one for one in self.client.positions["linear"]}


def check_trade(ours: Any, theirs: Any) -> None:
    assert (theirs["order"], theirs["side"], theirs["takerOrMaker"]) == (ours.order_id, ours.side, ours.liquidity)
    assert theirs["timestamp"] == ours.executed_ms
    assert (number(theirs["price"]), number(theirs["amount"])) == (number(ours.price), number(ours.quantity))
    fee = theirs["fee"]
    assert (number(fee["cost"]), fee["currency"]) == (number(ours.fee), ours.fee_currency)


def check_order(ours: Any, theirs: Any) -> None:
    assert (theirs["clientOrderId"], theirs["side"]) == (ours.client_order_id, ours.side)
    assert theirs["status"] == STATUSES[ours.status]
    assert (number(theirs["amount"]), number(theirs["filled"])) == (number(ours.quantity), number(ours.filled_quantity))
    assert theirs["reduceOnly"] == bool(ours.reduce_only)
    if ours.price is not None:
        assert number(theirs["price"]) == number(ours.price)
    if ours.average_price is not None:
        assert number(theirs["average"]) == number(ours.average_price)


def compare(client: Watching, kept: Iterable[Stored], counts: Counter[str]) -> None:
    """What ccxt was given of each order, trade, position and balance is what the rows of the same frames say."""
    balances: dict[str, Any] = {}
    positions: dict[str, Any] = {}
    last: dict[str, Any] = {}
    orders, trades = client.orders, client.trades
    for table, row in (one for stored in kept for one in stored.rows):
        if table == "fills":
            # ccxt leaves out what the exchange executed itself.
            if row.kind == "trade":
                check_trade(row, trades[unified(row.symbol), row.trade_id])
                counts["agree"] += 1
        elif table == "order_updates" and not row.order_id.startswith("algo-"):
            last[row.order_id] = row
        elif table == "account_updates":
            balances[row.currency] = row
        elif table == "position_updates":
            positions[unified(row.symbol)] = row
    for order_id, row in last.items():
        check_order(row, orders[order_id])
        counts["agree"] += 1
    for currency, row in balances.items():
        assert number(client.client.balance["linear"][currency]["total"]) == number(row.balance)
        counts["agree"] += 1
    for symbol, row in positions.items():
        theirs = client.positions[symbol]
        assert abs(number(row.quantity) or 0) == number(theirs["contracts"])
        assert number(theirs["unrealizedPnl"]) == number(row.unrealized_pnl)
        counts["agree"] += 1


def ids(kept: Iterable[Stored], table: str, symbol: str) -> set[str]:
    name = "trade_id" if table == "fills" else "order_id"
    rows = (row for stored in kept for kind, row in stored.rows if kind == table and row.symbol == symbol)
    return {found for row in rows if not (found := getattr(row, name)).startswith("algo-")}


def ask(client: Watching, kept: list[Stored]) -> None:
    """What ccxt asks over REST is what was pushed."""
    symbol = unified("BTCUSDT")
    assert ids(kept, "fills", "BTCUSDT") <= {one["id"] for one in client.ask("fetch_my_trades", symbol)}
    orders = {one["id"]: one for one in client.ask("fetch_orders", symbol)}
    assert ids(kept, "order_updates", "BTCUSDT") <= orders.keys()
    some = next(iter(orders))
    assert client.ask("fetch_order", some, symbol)["info"] == orders[some]["info"]
    opened = {one["id"] for one in orders.values() if one["status"] == "open"}
    assert {one["id"] for one in client.ask("fetch_open_orders", symbol)} == opened
    assert client.ask("fetch_balance")["total"].keys() >= {"USDT", "USDC"}


def test_ccxt_understands_what_is_stored_and_a_served_record(tmp_path: Path) -> None:
    with exchange(VENUE) as simulator, conversation(VENUE, "ccxt.pro", STAND_IN) as counts:
        with Watching(simulator.url, simulator.key, simulator.secret) as client:
            client.wait(lambda: simulator.clients == 1)
            kept = record(tmp_path, simulator)
            sent = pushes(simulator, 1)
            client.wait(lambda: not Counter(sent) - Counter(map(same, client.events)))
            mine = [one for one in kept if one.frame in set(sent)]
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
        assert {json.loads(one.frame)["e"] for one in kept} >= {"ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "TRADE_LITE"}
