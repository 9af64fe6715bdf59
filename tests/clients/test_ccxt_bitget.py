"""ccxt.pro at the stand-in of Bitget and at a served record: it understands what the recorder stores."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from recorder.replay.serving import Serving, ServingOptions
from recorder.venues.bitget.portal import PATH
from recorder.venues.bitget.stand_in.conversation import passphrase_of
from tests.clients.listening import conversation, number
from tests.clients.test_against_stand_ins import SERVED, STAND_IN, exchange, pushes, reconcile, record
from tests.clients.watching import CcxtClient, Stored, same

pytestmark = pytest.mark.clients

VENUE = "bitget"
#: Topics that ccxt.pro watches.
WATCHED = frozenset(["order", "fill", "position", "account"])
#: Our statuses of orders in ccxt's words.
STATUSES = {"new": "open", "partially_filled": "open", "filled": "closed", "canceled": "canceled"}


class Heard(NamedTuple):
    """A frame, and what ccxt made of each row of it."""

    frame: str
    topic: str
    understood: list[Any]


class Watching(CcxtClient):
    """A client of the unified account, and what it understood of each frame."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.heard: list[Heard] = []
        self.answers: list[Any] = []

    def make(self, url: str, key: str, secret: str) -> Any:
        """A client that talks to a stand-in instead of the exchange. Make it in its event loop."""
        import ccxt.pro

        options = {
            "uta": True,
            "defaultType": "swap",
            "fetchMarkets": {"types": ["spot", "swap"], "uta": True},
            "watchPositions": {"fetchPositionsSnapshot": False},
        }
        client = ccxt.pro.bitget({"number": str, "enableRateLimit": False, "options": options})
        client.apiKey, client.secret, client.password = key, secret, passphrase_of(secret)
        client.has["fetchCurrencies"] = False
        api = client.urls["api"]
        client.urls["api"] = {**{name: url for name in api if name != "ws"}, "ws": api["ws"]}
        client.urls["api"]["ws"]["utaPrivate"] = url.replace("http", "ws", 1) + PATH
        return client

    def hear(self, handle: Callable[[Any, Any], None], line: Any, message: Any) -> None:
        """Keep what ccxt understood of a frame."""
        handle(line, message)
        if not isinstance(message, dict) or "data" not in message:
            self.answers.append(message)
            return
        topic, rows = message["arg"]["topic"], message["data"]
        found: list[Any]
        if topic == "order":
            found = [_newest(self.client.orders, row["orderId"]) for row in rows]
        elif topic == "fill":
            found = [_newest(self.client.myTrades, row["execId"]) for row in rows]
        elif topic == "position":
            found = list(self.client.positions["UTA"])[-len(rows) :] if rows else []
        else:
            found = [self.client.balance[coin["coin"]] for row in rows for coin in row["coin"]]
        self.heard.append(Heard(same(message), topic, deepcopy(found)))


def _newest(cache: Iterable[Any], order_id: str) -> Any:
    return next(one for one in reversed(list(cache)) if one["id"] == order_id)


def check_order(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    """Compare an order."""
    assert (theirs["id"], theirs["clientOrderId"]) == (ours.order_id, ours.client_order_id)
    assert (theirs["side"], theirs["type"]) == (ours.side, ours.order_type)
    assert theirs["status"] == STATUSES[ours.status]
    assert (theirs["timestamp"], theirs["lastTradeTimestamp"]) == (ours.created_ms, ours.updated_ms)
    assert number(theirs["filled"]) == number(ours.filled_quantity)
    if ours.order_type == "market":
        # ccxt reads it as a spot order of the classic account: its quantity is what was filled, or what that cost.
        counts["differ: quantity of market orders"] += 1
    else:
        assert number(theirs["amount"]) == number(ours.quantity)
    if ours.price is None:
        # ccxt makes up the price of a market order from its average.
        counts["differ: price of market orders"] += 1
    else:
        assert number(theirs["price"]) == number(ours.price)
    if ours.average_price is not None:
        assert number(theirs["average"]) == pytest.approx(number(ours.average_price))
    assert (number(theirs["fee"]["cost"]), theirs["fee"]["currency"]) == (abs(Decimal(ours.fee)), ours.fee_currency)
    counts["agree"] += 1


def check_fill(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    """Compare a fill."""
    assert (theirs["id"], theirs["order"]) == (ours.trade_id, ours.order_id)
    assert (theirs["side"], theirs["takerOrMaker"]) == (ours.side, ours.liquidity)
    assert theirs["timestamp"] == ours.executed_ms
    assert (number(theirs["price"]), number(theirs["amount"])) == (number(ours.price), number(ours.quantity))
    assert (number(theirs["fee"]["cost"]), theirs["fee"]["currency"]) == (Decimal(ours.fee), ours.fee_currency)
    counts["agree"] += 1


def check_position(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    """Compare a position."""
    assert number(theirs["contracts"]) == abs(Decimal(ours.quantity))
    if Decimal(ours.quantity):
        assert theirs["side"] == ("long" if Decimal(ours.quantity) > 0 else "short")
        assert number(theirs["entryPrice"]) == number(ours.entry_price)
    counts["agree"] += 1


def check_balance(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    """Compare a balance."""
    told = theirs["free"], theirs["used"], theirs["total"]
    assert [*map(number, told)] == [*map(number, (ours.available, ours.locked, ours.balance))]
    counts["agree"] += 1


CHECKS = {
    "order_updates": check_order,
    "fills": check_fill,
    "position_updates": check_position,
    "account_updates": check_balance,
}


def compare(heard: Iterable[Heard], kept: Iterable[Stored], counts: Counter[str]) -> None:
    """Each frame that the client heard says to it what the typed rows of the same stored frame say."""
    rows = {one.frame: one.rows for one in kept}
    for one in heard:
        for (table, ours), theirs in zip(rows[one.frame], one.understood, strict=True):
            CHECKS[table](ours, theirs, counts)
        counts["understood"] += 1


def ask(client: Watching, kept: list[Stored]) -> None:
    """What ccxt asks over REST is what was pushed."""
    fills = {row.trade_id for one in kept for table, row in one.rows if table == "fills"}
    trades = client.ask("fetch_my_trades", "BTC/USDT:USDT")
    assert trades and {one["id"] for one in trades} <= fills
    opened = client.ask("fetch_open_orders", "BTC/USDT:USDT")
    assert all(one["status"] == "open" and one["symbol"] == "BTC/USDT:USDT" for one in opened)
    assert {one["symbol"] for one in client.ask("fetch_positions")} <= {"BTC/USDT:USDT", "ETH/USDT:USDT"}
    assert client.ask("fetch_balance")["total"].keys() >= {"USDT", "BTC"}


def test_ccxt_understands_what_is_stored_and_a_served_record(tmp_path: Path) -> None:
    with exchange(VENUE) as simulator, conversation(VENUE, "ccxt.pro", STAND_IN) as counts:
        with Watching(simulator.url, simulator.key, simulator.secret) as client:
            client.wait(lambda: sum(one.get("event") == "subscribe" for one in list(client.answers)) >= len(WATCHED))
            counts["logins"] = sum(one.get("event") == "login" for one in client.answers)
            kept = [one for one in record(tmp_path, simulator) if one.topic in WATCHED]
            sent = [one for one in pushes(simulator, 1) if json.loads(one)["arg"]["topic"] in WATCHED]
            client.wait(lambda: not Counter(sent) - Counter(one.frame for one in list(client.heard)))
            mine = set(sent)
            compare([one for one in client.heard if one.frame in mine], kept, counts)
            ask(client, kept)
        reconcile(sent, [one.frame for one in client.heard], [one.frame for one in kept], counts)
    url = f"sqlite:///{tmp_path / 'recorder.db'}"
    with (
        Serving(url, ServingOptions(speed=None)) as serving,
        conversation(VENUE, "ccxt.pro", SERVED) as counts,
    ):
        with Watching(serving.url, serving.keys[-1], serving.options.secret, client.markets) as again:
            again.wait(lambda: len(again.heard) >= len(kept))
            serving.wait_finished(timeout_s=60)
            compare(again.heard, kept, counts)
            counts["logins"] = sum(one.get("event") == "login" for one in again.answers)
            ask(again, kept)
        assert [one.frame for one in again.heard] == [one.frame for one in kept]
        counts["sent"] = counts["stored"] = len(kept)
