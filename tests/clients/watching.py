"""Real clients of a stand-in: ccxt.pro, which watches everything at once, and what it understood of each frame."""

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from recorder.model import CONTROL, PUSH
from recorder.venues.okx.stand_in.conversation import passphrase_of
from tests.clients import checks_kraken
from tests.clients.listening import ClientThread
from tests.waiting import wait_until

#: What is watched.
WATCHED = ("watch_orders", "watch_my_trades", "watch_positions", "watch_balance")
TABLES = ("order_updates", "fills", "position_updates", "account_updates", "transactions")


class Heard(NamedTuple):
    """A frame, and what the client understood: an object of ccxt for each thing in it, None for what it left out."""

    frame: str
    understood: list[Any]


def same(frame: Any) -> str:
    """A frame as text that is equal for equal frames: the state of one exchange is that in the state of all."""
    if frame.get("channel") == "allDexsClearinghouseState":
        data = frame["data"]
        one = {"dex": "", "user": data["user"], "clearinghouseState": data["clearinghouseStates"][0][1]}
        frame = {"channel": "clearinghouseState", "data": one}
    return json.dumps(frame, sort_keys=True)


def connect(venue: str, url: str, key: str, secret: str) -> Any:
    """A client of ccxt.pro that talks to a stand-in instead of the exchange. Make it in its event loop."""
    import ccxt.pro

    options = {"watchPositions": {"fetchPositionsSnapshot": False}}
    client = getattr(ccxt.pro, venue)({"number": str, "enableRateLimit": False, "options": options})
    socket = url.replace("http", "ws", 1)
    if venue == "bybit":
        client.apiKey, client.secret = key, secret
        client.urls["api"] = {**dict.fromkeys(client.urls["api"], url), "ws": client.urls["api"]["ws"]}
        client.urls["api"]["ws"]["private"]["contract"] = f"{socket}/v5/private"
    elif venue == "okx":
        client.apiKey, client.secret, client.password = key, secret, passphrase_of(secret)
        client.urls["api"] = {"rest": url, "ws": f"{socket}/ws/v5"}
        client.has["fetchCurrencies"] = False
    elif venue == "kraken":
        client.apiKey, client.secret = key, secret
        client.urls["api"] = {**client.urls["api"], "public": url, "private": url}
        client.urls["api"]["ws"] = {**client.urls["api"]["ws"], "privateV2": f"{socket}/v2"}
    else:
        client.walletAddress = key
        client.urls["api"] = {**client.urls["api"], "public": url, "ws": {"public": f"{socket}/ws"}}
    return client


class CcxtClient(ClientThread):
    """A client of ccxt.pro in a thread of its own, which watches several things in parallel.

    Subclasses say how it is made, and what is kept of what it hears.

    Args:
        url: of the stand-in.
        key: of the account.
        secret: its secret.
        markets: what ccxt knows of the exchange's markets; None to ask the stand-in.
    """

    #: The methods that watch.
    watched: Sequence[str] = WATCHED

    def __init__(self, url: str, key: str, secret: str, markets: Any = None) -> None:
        super().__init__()
        self.client: Any = None
        self.markets = markets
        self._arguments = url, key, secret
        self._failures: list[Exception] = []
        self._watching: list[asyncio.Task[None]] = []

    def make(self, url: str, key: str, secret: str) -> Any:
        """A client that talks to a stand-in instead of the exchange. Called in its thread."""
        raise NotImplementedError

    def hear(self, handle: Callable[[Any, Any], None], line: Any, message: Any) -> None:
        """Let ccxt handle a message, and keep what is needed of it."""
        handle(line, message)

    def given(self, method: str, found: Any) -> None:
        """Keep what a method that watches has returned."""

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
        return self.do(getattr(self.client, method)(*arguments))

    async def open(self) -> None:
        """Make it, and begin to watch."""
        self.client = self.make(*self._arguments)
        handle = self.client.handle_message

        def heard(line: Any, message: Any) -> None:
            try:
                self.hear(handle, line, message)
            except Exception as error:  # noqa: BLE001  raised by `check`
                self._failures.append(error)

        self.client.handle_message = heard
        if self.markets is None:
            self.markets = list((await self.client.load_markets()).values())
        else:
            self.client.set_markets(self.markets)
        self._watching = [asyncio.create_task(self._watch(name)) for name in self.watched]

    async def close(self) -> None:
        """Stop watching, and disconnect it."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        if self.client is not None:
            await self.client.close()

    async def _watch(self, name: str) -> None:
        try:
            while True:
                self.given(name, await getattr(self.client, name)())
        except Exception as error:  # noqa: BLE001  raised by `check`
            self._failures.append(error)


class Watching(CcxtClient):
    """A client of one of the exchanges that `connect` knows, and what it understood of each frame.

    Args:
        venue: which exchange.
        url: of the stand-in.
        key: of the account.
        secret: its secret.
        markets: what ccxt knows of the exchange's markets; None to ask the stand-in.
    """

    def __init__(self, venue: str, url: str, key: str, secret: str, markets: Any = None) -> None:
        super().__init__(url, key, secret, markets)
        self.heard: list[Heard] = []
        #: Frames that carry no data, such as acknowledgements.
        self.answers: list[Any] = []
        #: Method → ids of what it returned.
        self.returned: dict[str, set[str]] = {name: set() for name in WATCHED}
        self._venue = venue
        # On Kraken's spot markets there are no positions.
        self.watched = [name for name in WATCHED if name != "watch_positions" or venue != "kraken"]

    @property
    def logins(self) -> int:
        """How often it logged in."""
        return sum(one.get("event") == "login" or (one.get("op") == "auth" and one["success"]) for one in self.answers)

    def make(self, url: str, key: str, secret: str) -> Any:
        """A client of the exchange."""
        return connect(self._venue, url, key, secret)

    def given(self, method: str, found: Any) -> None:
        """Note the ids of what was returned."""
        things = found if isinstance(found, list) else []
        self.returned[method] |= {one["id"] for one in things if one.get("id")}
        # An order of OKX that a trigger placed: ccxt names it after the conditional order.
        self.returned[method] |= {one["info"].get("ordId") for one in things if method == "watch_orders"}

    def hear(self, handle: Callable[[Any, Any], None], line: Any, message: Any) -> None:
        """Keep what ccxt understood of a frame."""
        if message == "pong":
            handle(line, message)
            return
        told, resolved = same(message), {}
        resolve = type(line).resolve

        def keep(result: object, name: str) -> object:
            resolved[name] = result
            return resolve(line, result, name)

        line.resolve = keep
        handle(line, message)
        del line.resolve
        kind = message.get("topic") or message.get("channel") or message.get("arg", {}).get("channel")
        if kind in _UNDERSTOOD and "data" in message:
            understood = _UNDERSTOOD[kind](self.client, message["data"], resolved)
            self.heard.append(Heard(told, deepcopy(understood)))
        else:
            self.answers.append(message)


def _newest(cache: Iterable[Any] | None, ids: Iterable[object]) -> list[Any]:
    known = {one["id"]: one for one in cache or ()}
    return [known.get(str(one)) for one in ids]


def _margin(client: Any, _data: Any, resolved: dict[str, Any]) -> list[Any]:
    return [
        *resolved["clearinghouseState::positions"],
        {"timestamp": client.balance["swap"]["timestamp"], **client.balance["swap"]["USDC"]},
    ]


def _orders(client: Any, data: Any, _: object) -> list[Any]:
    """Of OKX: each order, and behind it the execution that it reports."""
    found = []
    for one in data:
        found += _newest(client.orders, [one["algoId"] or one["ordId"]])
        found += _newest(client.myTrades, [one["tradeId"]] * bool(one["tradeId"]))
    return found


#: Topic or channel → what the client understood of a frame, from where it keeps it or hands it to those who wait.
_UNDERSTOOD: dict[str, Any] = {
    "order": lambda client, data, _: _newest(client.orders, [one["orderId"] for one in data]),
    "execution": lambda client, data, _: _newest(client.myTrades, [one["execId"] for one in data]),
    "position": lambda _client, _data, resolved: resolved["positions"],
    "wallet": lambda client, data, _: [client.balance["unified"][coin["coin"]] for one in data for coin in one["coin"]],
    "orderUpdates": lambda client, data, _: _newest(client.orders, [one["order"]["oid"] for one in data]),
    "userFills": lambda client, data, _: _newest(client.myTrades, [one["tid"] for one in data["fills"]]),
    "clearinghouseState": _margin,
    "orders": _orders,
    "positions": lambda _client, _data, resolved: resolved["positions"],
    "account": lambda client, data, _: [client.balance[one["ccy"]] for one in data[0]["details"]],
    "executions": lambda client, data, _: checks_kraken.read(client, data),
    "balances": lambda client, data, _: [client.balance["spot"][one["asset"]] for one in data],
    "spotState": lambda client, data, _: [client.balance["spot"][one["coin"]] for one in data["spotState"]["balances"]],
}


class Stored(NamedTuple):
    """A push in the record, and its typed rows."""

    topic: str
    frame: str
    rows: list[tuple[str, Any]]


def stored(path: Path) -> list[Stored]:
    """The pushes of a record, in order, each with its rows: the name of their table, and the row."""
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        rows: dict[tuple[int, int], list[tuple[str, Any]]] = {}
        for table in TABLES:
            for row in database.execute(f"SELECT * FROM {table} ORDER BY session_id, seq, item"):
                rows.setdefault((row["session_id"], row["seq"]), []).append((table, SimpleNamespace(**dict(row))))
        query = "SELECT session_id, seq, topic, payload FROM frames WHERE source = ? AND status <> ?"
        return [
            Stored(topic, same(json.loads(payload)), sorted(rows.get((session, seq), []), key=lambda one: one[1].item))
            for session, seq, topic, payload in database.execute(f"{query} ORDER BY session_id, seq", (PUSH, CONTROL))
        ]


def compare(venue: str, heard: Iterable[Heard], record: Iterable[Stored], counts: Counter[str]) -> None:
    """Each frame that the client heard says to it what the typed rows of the same stored frame say."""
    from tests.clients import checks_okx, test_parsers_bybit, test_parsers_hyperliquid

    modules = {
        "bybit": test_parsers_bybit,
        "hyperliquid": test_parsers_hyperliquid,
        "kraken": checks_kraken,
        "okx": checks_okx,
    }
    checks: Any = modules[venue].CHECKS
    rows = {one.frame: one.rows for one in record}
    for one in heard:
        things = iter(one.understood)
        for table, ours in rows[one.frame]:
            if table == "position_updates" and '"channel": "userFills"' in one.frame:
                # Closing fills say that a position is flat.
                counts["flat positions, which ccxt does not conclude from fills"] += 1
            else:
                checks[table](ours, next(things), counts)
        assert next(things, None) is None
        counts["understood"] += 1
