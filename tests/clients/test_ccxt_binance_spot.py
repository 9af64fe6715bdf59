"""ccxt.pro at the stand-in of Binance spot and at a served record: it understands what the recorder stores."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import pytest

from recorder.replay.serving import Serving, ServingOptions
from recorder.venues.binance_spot.portal import PATH
from tests.clients.listening import conversation
from tests.clients.test_against_stand_ins import STAND_IN, exchange, pushes, reconcile, record
from tests.clients.watching import Stored, same
from tests.waiting import wait_until

pytestmark = pytest.mark.clients

VENUE = "binance_spot"
SYMBOL = "BTC/USDT"
#: Our statuses of orders in ccxt's words.
STATUSES = {"pending": "open", "new": "open", "partially_filled": "open", "filled": "closed"}
STATUSES |= {"canceled": "canceled", "expired": "expired", "rejected": "rejected"}


class Watching:
    """A client of ccxt.pro in a thread of its own, which watches orders, trades and balances in parallel.

    Args:
        url: of the stand-in.
        key: of the account.
        secret: its secret.
        markets: what ccxt knows of the exchange's markets; None to ask the stand-in.
    """

    def __init__(self, url: str, key: str, secret: str, markets: Any = None) -> None:
        self.events: list[Any] = []
        self.answers: list[Any] = []
        #: Id → each state that it was given, in order.
        self.orders: dict[str, list[Any]] = {}
        self.trades: dict[str, Any] = {}
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
            (self.events if "event" in message else self.answers).append(message)
            handle(line, message)

        client.handle_message = heard
        try:
            if self.markets is None:
                self.markets = list((await client.load_markets()).values())
            else:
                client.set_markets(self.markets)
            watched = (self._orders, self._trades, self._balances)
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

    async def _orders(self) -> None:
        for order in await self.client.watch_orders():
            self.orders.setdefault(order["id"], []).append(dict(order))

    async def _trades(self) -> None:
        self.trades |= {trade["id"]: dict(trade) for trade in await self.client.watch_my_trades()}

    async def _balances(self) -> None:
        await self.client.watch_balance()


def connect(url: str, key: str, secret: str) -> Any:
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
        conversation(VENUE, "ccxt.pro", "served record") as counts,
    ):
        with Watching(serving.url, serving.keys[-1], serving.options.secret, client.markets) as again:
            again.wait(lambda: len(again.events) >= len(kept))
            serving.wait_finished(timeout_s=60)
            compare(again, kept, counts)
            ask(again, kept)
        assert list(map(same, again.events)) == [one.frame for one in kept]
        counts["sent"] = counts["stored"] = counts["understood"] = len(kept)
        assert all(json.loads(one.frame)["subscriptionId"] == 0 for one in kept)
