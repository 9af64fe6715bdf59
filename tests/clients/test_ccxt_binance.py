"""ccxt.pro at the stand-ins of Binance's futures and at served records: it understands what the recorder stores."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recorder.replay.serving import Serving, ServingOptions
from tests.clients.listening import conversation, number
from tests.clients.test_against_stand_ins import COIN_M, SERVED, STAND_IN, exchange, pushes, reconcile, record
from tests.clients.watching import CcxtClient, Stored, same

pytestmark = pytest.mark.clients

#: Our statuses of orders in ccxt's words. A conditional order that was triggered is over.
STATUSES = {"pending": "open", "new": "open", "partially_filled": "open", "filled": "closed"}
STATUSES |= {"canceled": "canceled", "expired": "expired", "rejected": "rejected"}


def unified(symbol: str) -> str:
    """A symbol in ccxt's words: `BTC/USDT:USDT`, `BTC/USDT:USDT-261225`, `BTC/USD:BTC`, `BTC/USD:BTC-261225`."""
    pair, _, date = symbol.partition("_")
    base, quote = pair[:3], pair[3:]
    return f"{base}/{quote}:{base if quote == 'USD' else quote}" + (f"-{date}" if date not in {"", "PERP"} else "")


class Watching(CcxtClient):
    """A client of USD-M futures, and what it heard."""

    #: In the table.
    venue = "binance"
    #: What ccxt calls the exchange and its kind of contracts.
    name, kind = "binanceusdm", "linear"
    #: Of the exchange.
    host = "https://fapi.binance.com"
    #: A symbol that REST is asked about, and currencies that the account has.
    symbol, currencies = "BTCUSDT", frozenset({"USDT", "USDC"})

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.events: list[Any] = []

    def make(self, url: str, key: str, secret: str) -> Any:
        """A client that talks to a stand-in instead of the exchange. Make it in its event loop."""
        import ccxt.pro

        options = {
            "fetchCurrencies": False,
            "fetchMarkets": {"types": [self.kind]},
            "fetchMargins": False,
            "watchPositions": {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False},
            "watchBalance": {"fetchBalanceSnapshot": False, "awaitBalanceSnapshot": False},
        }
        client = getattr(ccxt.pro, self.name)(
            {"apiKey": key, "secret": secret, "number": str, "enableRateLimit": False, "options": options}
        )
        client.has["fetchCurrencies"] = False
        api = client.urls["api"]
        for name in list(api):
            if isinstance(api[name], str):
                api[name] = api[name].replace(self.host, url)
        api["ws"][self.kind] = url.replace("http", "ws", 1) + "/ws"
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
        return {one["symbol"]: one for one in self.client.positions[self.kind]}


class WatchingCoinM(Watching):
    """A client of COIN-M futures."""

    venue = COIN_M
    name, kind = "binancecoinm", "inverse"
    host = "https://dapi.binance.com"
    symbol, currencies = "BTCUSD_PERP", frozenset({"BTC", "ETH"})


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
        assert number(client.client.balance[client.kind][currency]["total"]) == number(row.balance)
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


def ask(client: Watching, kept: list[Stored], counts: Counter[str]) -> None:
    """What ccxt asks over REST is what was pushed."""
    symbol = unified(client.symbol)
    assert ids(kept, "fills", client.symbol) <= {one["id"] for one in client.ask("fetch_my_trades", symbol)}
    orders = {one["id"]: one for one in client.ask("fetch_orders", symbol)}
    assert ids(kept, "order_updates", client.symbol) <= orders.keys()
    some = next(iter(orders))
    assert client.ask("fetch_order", some, symbol)["info"] == orders[some]["info"]
    opened = {one["id"] for one in orders.values() if one["status"] == "open"}
    assert {one["id"] for one in client.ask("fetch_open_orders", symbol)} == opened
    assert client.ask("fetch_balance")["total"].keys() >= client.currencies
    rows = (row for stored in kept for table, row in stored.rows if table == "position_updates")
    held = {unified(row.symbol): number(row.quantity) or Decimal(0) for row in rows}
    positions = {one["symbol"]: one for one in client.ask("fetch_positions") if number(one["contracts"])}
    assert {symbol: number(one["contracts"]) for symbol, one in positions.items()} == {
        symbol: abs(quantity) for symbol, quantity in held.items() if quantity
    }
    for symbol, one in positions.items():
        if one["side"] is None and client.kind == "inverse":
            counts["positions without a side, because what an inverse one is worth is not pushed"] += 1
        else:
            assert one["side"] == ("long" if held[symbol] > 0 else "short")
    assert client.ask("fetch_position_mode")["hedged"] is False


@pytest.mark.parametrize("watching", [Watching, WatchingCoinM])
def test_ccxt_understands_what_is_stored_and_a_served_record(tmp_path: Path, watching: type[Watching]) -> None:
    with exchange(watching.venue) as simulator, conversation(watching.venue, "ccxt.pro", STAND_IN) as counts:
        with watching(simulator.url, simulator.key, simulator.secret) as client:
            client.wait(lambda: simulator.clients == 1)
            kept = record(tmp_path, simulator)
            sent = pushes(simulator, 1)
            client.wait(lambda: not Counter(sent) - Counter(map(same, client.events)))
            mine = [one for one in kept if one.frame in set(sent)]
            compare(client, mine, counts)
            ask(client, mine, counts)
            assert all(one["side"] for one in client.ask("fetch_positions") if number(one["contracts"]))
        counts["understood"] = counts["sent"] = len(sent)
        reconcile(sent, map(same, client.events), [one.frame for one in kept], counts)
    url = f"sqlite:///{tmp_path / 'recorder.db'}"
    with (
        Serving(url, ServingOptions(speed=None)) as serving,
        conversation(watching.venue, "ccxt.pro", SERVED) as counts,
    ):
        with watching(serving.url, serving.keys[-1], serving.options.secret, client.markets) as again:
            again.wait(lambda: len(again.events) >= len(kept))
            serving.wait_finished(timeout_s=60)
            compare(again, kept, counts)
            ask(again, kept, counts)
        assert list(map(same, again.events)) == [one.frame for one in kept]
        counts["sent"] = counts["stored"] = counts["understood"] = len(kept)
        told = {"ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"} | ({"TRADE_LITE"} if watching is Watching else set())
        assert {json.loads(one.frame)["e"] for one in kept} >= told
