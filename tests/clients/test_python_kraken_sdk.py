"""python-kraken-sdk at the stand-in of Kraken and at a served record: it subscribes, asks, and finds what is stored."""

from pathlib import Path
from time import time_ns
from typing import Any

import pytest

from recorder.replay.serving import Serving, ServingOptions
from tests.clients.listening import ClientThread, conversation
from tests.clients.test_against_stand_ins import SERVED, STAND_IN, acknowledged, exchange, pushes, reconcile, record
from tests.clients.watching import same
from tests.waiting import wait_until

pytestmark = pytest.mark.clients

CHANNELS = ("executions", "balances")


@pytest.fixture(autouse=True)
def nonces_of_one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own count a hundred thousand a millisecond: no other program of the account could ask after it."""
    from kraken.base_api import SpotClient

    monkeypatch.setattr(SpotClient, "get_nonce", lambda _self: str(time_ns() // 1_000_000))


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
        self._given = url, key, secret

    async def open(self) -> None:
        """Connect it, and subscribe to everything."""
        from kraken.spot import SpotWSClient

        url, key, secret = self._given
        socket = url.replace("http", "ws", 1)
        given = {"no_public": True, "rest_url": url, "auth_ws_url": socket}
        self._client = SpotWSClient(key, secret, callback=self._hear, **given)
        await self._client.start()
        for channel in CHANNELS:
            await self._client.subscribe(params={"channel": channel})

    async def close(self) -> None:
        """Disconnect it."""
        await self._client.close()

    async def _hear(self, message: dict[str, Any]) -> None:
        if message.get("channel") in CHANNELS:
            self.pushes.append(message)


def test_python_kraken_sdk_hears_what_is_stored(tmp_path: Path) -> None:
    with exchange("kraken") as simulator, conversation("kraken", "python-kraken-sdk", STAND_IN) as counts:
        with Listening(simulator.url, simulator.key, simulator.secret) as client:
            acknowledged(simulator, len(CHANNELS))
            kept = record(tmp_path, simulator)
            sent = pushes(simulator, 1)
            # Before the pushes come the snapshots of both channels.
            wait_until(lambda: len(client.pushes) >= len(sent))
        heard = [one for one in map(same, client.pushes) if one in set(sent)]
        counts["understood"] = len(heard)
        reconcile(sent, heard, [one.frame for one in kept], counts)


def test_python_kraken_sdk_asks_what_is_stored(tmp_path: Path) -> None:
    from kraken.spot import User

    with exchange("kraken") as simulator, conversation("kraken", "python-kraken-sdk REST: fills", STAND_IN) as counts:
        kept = record(tmp_path, simulator)
        user = User(simulator.key, simulator.secret, url=simulator.url)
        fills: dict[str, str] = {}
        while True:
            page = user.get_trades_history(ofs=len(fills))
            fills |= {trade_id: row["price"] for trade_id, row in page["trades"].items()}
            if len(fills) >= page["count"]:
                break
        ours = {row.trade_id: row.price for one in kept for table, row in one.rows if table == "fills"}
        counts["sent"] = counts["understood"] = len(fills)
        counts["stored"] = len(ours)
        assert {of: float(price) for of, price in ours.items()} == {of: float(price) for of, price in fills.items()}
        assert {"XXBT", "ZUSD"} <= user.get_balances().keys()
        opened = {row.order_id for one in kept for table, row in one.rows if table == "order_updates"}
        assert user.get_open_orders()["open"].keys() <= opened


def test_python_kraken_sdk_hears_a_served_record(tmp_path: Path) -> None:
    with exchange("kraken") as simulator:
        kept = record(tmp_path, simulator)
    expected = [one.frame for one in kept if one.topic in CHANNELS]
    with (
        Serving(f"sqlite:///{tmp_path / 'recorder.db'}", ServingOptions(speed=None)) as serving,
        conversation("kraken", "python-kraken-sdk", SERVED) as counts,
        Listening(serving.url, serving.keys[-1], serving.options.secret) as client,
    ):
        wait_until(lambda: len(client.pushes) >= len(expected))
        counts["sent"] = counts["understood"] = counts["stored"] = len(expected)
        assert list(map(same, client.pushes)) == expected
