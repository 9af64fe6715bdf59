"""python-okx at the stand-in of OKX and at a served record: it logs in, subscribes, asks, and finds what is stored."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest

from recorder.replay.serving import Serving, ServingOptions
from recorder.venues.okx.stand_in.conversation import passphrase_of
from tests.clients.listening import ClientThread, conversation
from tests.clients.test_against_stand_ins import SERVED, STAND_IN, acknowledged, exchange, pushes, reconcile, record
from tests.clients.watching import same
from tests.waiting import wait_until

pytestmark = pytest.mark.clients

#: What is subscribed to.
CHANNELS = (
    {"channel": "orders", "instType": "ANY"},
    {"channel": "positions", "instType": "ANY"},
    {"channel": "account"},
)
TYPES = ("SPOT", "SWAP", "FUTURES", "MARGIN", "OPTION")


@pytest.fixture(autouse=True)
def without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client encrypts every connection, which a simulated exchange on this machine does not."""
    import websockets
    from okx.websocket import WebSocketFactory

    connect = websockets.connect
    monkeypatch.setattr(WebSocketFactory.websockets, "connect", lambda url, **_: connect(url))


class Listening(ClientThread):
    """A client of the private socket in a thread of its own.

    Args:
        url: of the exchange.
        key: of the account.
        secret: its secret.
    """

    def __init__(self, url: str, key: str, secret: str) -> None:
        super().__init__()
        self.pushes: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self._given = key, passphrase_of(secret), secret, f"{url.replace('http', 'ws', 1)}/ws/v5/private"

    def __enter__(self) -> Self:
        super().__enter__()
        self.do(self._client.login())
        wait_until(lambda: self.answers)
        self.do(self._client.send("subscribe", list(CHANNELS)))
        wait_until(lambda: len(self.answers) > len(CHANNELS))
        return self

    @property
    def logins(self) -> int:
        """How often it logged in."""
        return sum(one.get("event") == "login" for one in self.answers)

    async def open(self) -> None:
        """Connect it."""
        from okx.websocket.WsPrivateAsync import WsPrivateAsync

        self._client = WsPrivateAsync(*self._given)
        self._client.callback = self._hear
        self._reading = await self._client.start()

    async def close(self) -> None:
        """Disconnect it."""
        await self._client.stop()
        await self._reading

    def _hear(self, text: str) -> None:
        message = json.loads(text)
        (self.answers if "event" in message else self.pushes).append(message)


def every_page(ask: Callable[..., Any], id_name: str) -> Iterator[dict[str, Any]]:
    """The rows of a list that is asked for page by page, each from before the last row's id."""
    after = ""
    while rows := ask(after=after, limit="100")["data"]:
        yield from rows
        after = rows[-1][id_name]


def test_python_okx_hears_what_is_stored(tmp_path: Path) -> None:
    with exchange("okx") as simulator, conversation("okx", "python-okx", STAND_IN) as counts:
        with Listening(simulator.url, simulator.key, simulator.secret) as client:
            acknowledged(simulator, len(CHANNELS))
            kept = record(tmp_path, simulator)
            sent = pushes(simulator, 1)
            wait_until(lambda: len(client.pushes) >= len(sent))
            counts["logins"] = client.logins
        counts["understood"] = len(client.pushes)
        reconcile(sent, map(same, client.pushes), [one.frame for one in kept], counts)


def test_python_okx_asks_what_is_stored(tmp_path: Path) -> None:
    from okx.Account import AccountAPI
    from okx.Trade import TradeAPI

    with exchange("okx") as simulator, conversation("okx", "python-okx REST: fills", STAND_IN) as counts:
        kept = record(tmp_path, simulator)
        given = simulator.key, simulator.secret, passphrase_of(simulator.secret)
        with TradeAPI(*given, flag="0", domain=simulator.url) as trade:
            rows = [
                row for kind in TYPES for row in every_page(partial(trade.get_fills_history, instType=kind), "billId")
            ]
        fills = {row["tradeId"]: row["fillPx"] for row in rows}
        ours = {row.trade_id: row.price for one in kept for table, row in one.rows if table == "fills"}
        counts["sent"] = counts["understood"] = len(fills)
        counts["stored"] = len(ours)
        assert ours == fills
        with AccountAPI(*given, flag="0", domain=simulator.url) as account:
            (held,) = account.get_account_balance()["data"]
            assert {one["ccy"] for one in held["details"]} >= {"USDT", "BTC"}
            assert account.get_positions()["data"]
            assert account.get_account_bills()["data"]
            assert account.get_account_config()["data"][0]["perm"] == "read_only"


def test_python_okx_hears_a_served_record(tmp_path: Path) -> None:
    with exchange("okx") as simulator:
        kept = record(tmp_path, simulator)
    expected = [one.frame for one in kept if one.topic in {channel["channel"] for channel in CHANNELS}]
    with (
        Serving(f"sqlite:///{tmp_path / 'recorder.db'}", ServingOptions(speed=None)) as serving,
        conversation("okx", "python-okx", SERVED) as counts,
        Listening(serving.url, serving.keys[-1], serving.options.secret) as client,
    ):
        wait_until(lambda: len(client.pushes) >= len(expected))
        counts["logins"] = client.logins
        counts["sent"] = counts["understood"] = counts["stored"] = len(expected)
        assert Counter(map(same, client.pushes)) == Counter(expected)
