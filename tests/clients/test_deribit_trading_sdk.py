"""deribit-trading-sdk at Deribit's stand-in: it validates each fill that it hears, and finds what is stored."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from recorder.replay.serving import Serving, ServingOptions
from tests.clients.listening import ClientThread, conversation
from tests.clients.test_against_stand_ins import SERVED, STAND_IN, exchange, record
from tests.waiting import wait_until

pytestmark = pytest.mark.clients


class Listening(ClientThread):
    """A client of the socket in a thread of its own, which keeps the fills as it reads them.

    Args:
        url: of the exchange.
        key: of the account.
        secret: its secret.
    """

    def __init__(self, url: str, key: str, secret: str) -> None:
        super().__init__()
        self.fills: list[dict[str, Any]] = []
        self.summaries: list[Any] = []
        self._given = url, key, secret

    async def open(self) -> None:
        """Connect it, and follow all fills."""
        from deribit import Deribit
        from deribit.core import AuthedSocketClient

        url, key, secret = self._given

        class WithoutTls(AuthedSocketClient):  # type: ignore[misc]
            """The client encrypts every connection, which a simulated exchange on this machine does not."""

            @property
            def url(self) -> str:
                return f"ws://{self.domain}{self.path}"

        self._socket = WithoutTls(client_id=key, client_secret=secret, domain=url.removeprefix("http://"))
        self._client = Deribit(self._socket)
        await self._socket.open()
        self._following = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Disconnect it."""
        socket = await self._socket.ws
        # It would leave its own tasks behind, and one of them takes a closed connection for a failure.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for one in others:
            one.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await socket.close()

    def check(self) -> bool:
        """Whether it goes on; raises what ended it."""
        if self._following.done():
            self._following.result()
        return True

    async def _follow(self) -> None:
        async for fills in self._client.subscriptions.user_trades(kind="any", currency="any", interval="raw"):
            self.fills += fills


def test_deribit_trading_sdk_hears_what_is_stored_and_a_served_record(tmp_path: Path) -> None:
    with exchange("deribit") as simulator, conversation("deribit", "deribit-trading-sdk", STAND_IN) as counts:
        with Listening(simulator.url, simulator.key, simulator.secret) as client:
            subscribed = b'"result":["user.trades'
            wait_until(lambda: client.check() and any(subscribed in one.payload for one in simulator.sent))
            kept = record(tmp_path, simulator)
            ours = {row.trade_id: row for one in kept for table, row in one.rows if table == "fills"}
            wait_until(lambda: client.check() and len(client.fills) >= len(ours))
        compare(client.fills, ours, counts)
    url = f"sqlite:///{tmp_path / 'recorder.db'}"
    with (
        Serving(url, ServingOptions(speed=None)) as serving,
        conversation("deribit", "deribit-trading-sdk", SERVED) as counts,
    ):
        with Listening(serving.url, serving.keys[-1], serving.options.secret) as again:
            wait_until(lambda: again.check() and len(again.fills) >= len(ours))
            serving.wait_finished(timeout_s=60)
        compare(again.fills, ours, counts)


def compare(heard: list[dict[str, Any]], ours: dict[str, Any], counts: Counter[str]) -> None:
    """Each fill was heard once, and says what is stored."""
    counts["logins"] = 1
    counts["sent"] = counts["understood"] = len(heard)
    counts["stored"] = len(ours)
    assert sorted(one["trade_id"] for one in heard) == sorted(ours)
    for theirs in heard:
        row = ours[theirs["trade_id"]]
        assert (theirs["order_id"], theirs["instrument_name"], theirs["direction"]) == (
            row.order_id,
            row.symbol,
            row.side,
        )
        # It reads JSON's numbers as floats before it makes decimals of them.
        assert [float(theirs[name]) for name in ("price", "amount", "fee")] == [
            float(one) for one in (row.price, row.quantity, row.fee)
        ]
        assert (theirs["timestamp"], theirs["fee_currency"]) == (row.executed_ms, row.fee_currency)
        assert {"M": "maker", "T": "taker"}[theirs["liquidity"]] == row.liquidity
        counts["agree"] += 1
