"""ccxt.pro at the stand-in of Binance futures and at a served record: it understands what the recorder stores."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import pytest

from recorder.replay.serving import Serving, ServingOptions
from tests.clients.listening import conversation
from tests.clients.test_against_stand_ins import STAND_IN, exchange, pushes, reconcile, record
from tests.clients.watching import Stored, same
from tests.waiting import wait_until

pytestmark = pytest.mark.clients

VENUE = "binance"
SYMBOLS = {"BTCUSDT": "BTC/USDT:USDT", "ETHUSDT": "ETH/USDT:USDT", "ETHUSDC": "ETH/USDC:USDC"}
#: Our statuses of orders in ccxt's words. A conditional order that was triggered is over.
STATUSES = {"pending": "open", "new": "open", "partially_filled": "open", "filled": "closed"}
STATUSES |= {"canceled": "canceled", "expired": "expired", "rejected": "rejected"}


class Watching:
    """A client of ccxt.pro in a thread of its own, which watches orders, trades, positions and balances in parallel.

    Args:
        url: of the stand-in.
        key: of the account.
        secret: its secret.
        markets: what ccxt knows of the exchange's markets; None to ask the stand-in.
    """

    def __init__(self, url: str, key: str, secret: str, markets: Any = None) -> None:
        self.events: list[Any] = []
        self.markets = markets
        self._arguments = url, key, secret
        self._failures: list[Exception] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self._ready.is_set() or self._failures)
        self.check()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def check(self) -> None:
        """Raise what went wrong in the client."""
        if self._failures:
            raise self._failures[0]

    def wait(self, condition: Callable[[], object]) -> None:
        """Wait until this is so, or something went wrong."""
        wait_until(lambda: self._failures or condition())
        self.check()

    def ask(self, method: str, *arguments: object) -> Any:
        """Call a method of REST."""
        return asyncio.run_coroutine_threadsafe(getattr(self.client, method)(*arguments), self._loop).result(30)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._watch_all())
        except Exception as error:  # noqa: BLE001  raised by `check`
            self._failures.append(error)
        finally:
            self._loop.close()

    async def _watch_all(self) -> None:
        self._stop = asyncio.Event()
        self.client = client = connect(*self._arguments)
        handle = client.handle_message

        def heard(line: Any, message: Any) -> None:
            self.events.append(deepcopy(message))  # it changes some
            handle(line, message)

        client.handle_message = heard
        try:
            if self.markets is None:
                self.markets = list((await client.load_markets()).values())
            else:
                client.set_markets(self.markets)
            names = ("watch_orders", "watch_my_trades", "watch_positions", "watch_balance")
            watched = [getattr(client, name) for name in names]
            watching = [asyncio.create_task(self._guarded(one)) for one in watched]
            self._ready.set()
            await self._stop.wait()
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
        finally:
            await client.close()

    async def _guarded(self, watch: Callable[[], Any]) -> None:
        try:
            while True:
                await watch()
        except Exception as error:  # noqa: BLE001  raised by `check`
            if not self._stop.is_set():
                self._failures.append(error)

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


def connect(url: str, key: str, secret: str) -> Any:
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


def number(text: object) -> Decimal | None:
    return None if text is None else Decimal(str(text))


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
                check_trade(row, trades[SYMBOLS[row.symbol], row.trade_id])
                counts["agree"] += 1
        elif table == "order_updates" and not row.order_id.startswith("algo-"):
            last[row.order_id] = row
        elif table == "account_updates":
            balances[row.currency] = row
        elif table == "position_updates":
            positions[SYMBOLS[row.symbol]] = row
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
    symbol = SYMBOLS["BTCUSDT"]
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
        conversation(VENUE, "ccxt.pro", "served record") as counts,
    ):
        with Watching(serving.url, serving.keys[-1], serving.options.secret, client.markets) as again:
            again.wait(lambda: len(again.events) >= len(kept))
            serving.wait_finished(timeout_s=60)
            compare(again, kept, counts)
            ask(again, kept)
        assert list(map(same, again.events)) == [one.frame for one in kept]
        counts["sent"] = counts["stored"] = counts["understood"] = len(kept)
        assert {json.loads(one.frame)["e"] for one in kept} >= {"ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "TRADE_LITE"}
