"""typed-bitget at Bitget's stand-in: it validates each push against its own types, and finds what is stored."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from recorder.replay.serving import Serving, ServingOptions
from recorder.venues.bitget.stand_in.conversation import passphrase_of
from tests.clients.listening import ClientThread, conversation
from tests.clients.test_against_stand_ins import SERVED, STAND_IN, acknowledged, exchange, record
from tests.waiting import wait_until

pytestmark = pytest.mark.clients

#: What is followed, and whether its own types hold: they have fields that the exchange sends only with some orders, and
#: values in USD, which the simulated account does not have.
CHANNELS = {"fill": True, "orders": False, "positions": True, "account": False}


class Listening(ClientThread):
    """A client of the private socket in a thread of its own, which keeps the pushes as it reads them.

    Args:
        url: of the exchange.
        key: of the account.
        secret: its secret.
    """

    def __init__(self, url: str, key: str, secret: str) -> None:
        super().__init__()
        self.pushes: dict[str, list[Any]] = {name: [] for name in CHANNELS}
        self._given = url, key, secret
        self._following: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Connect it, and follow everything."""
        from typed_bitget.core.auth import Credentials
        from typed_bitget.core.transport.ws.uta import UtaSocketStreamClient
        from typed_bitget.uta_streams import UtaStreams

        url, key, secret = self._given
        socket = f"{url.replace('http', 'ws', 1)}/v3/ws/private"
        credentials = Credentials(key, secret, passphrase_of(secret))
        self._socket = UtaSocketStreamClient.new(private_url=socket, credentials=credentials)
        await self._socket.private_conn.__aenter__()
        streams = UtaStreams(client=self._socket)
        self._following = [asyncio.create_task(self._follow(streams, name)) for name in CHANNELS]

    async def close(self) -> None:
        """Disconnect it."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for one in self._following:
            one.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        await self._socket.private_conn.__aexit__(None, None, None)
        for one in others:
            one.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def fills(self) -> list[Any]:
        """The fills in the pushes so far."""
        return [row for push in self.pushes["fill"] for row in push["data"]]

    def check(self) -> bool:
        """Whether it goes on; raises what ended it."""
        for one in self._following:
            if one.done():
                one.result()
        return True

    async def _follow(self, streams: Any, name: str) -> None:
        async for push in await getattr(streams, name)("UTA", validate=CHANNELS[name]):
            self.pushes[name].append(push)


def test_typed_bitget_hears_what_is_stored_and_a_served_record(tmp_path: Path) -> None:
    with exchange("bitget") as simulator, conversation("bitget", "typed-bitget", STAND_IN) as counts:
        with Listening(simulator.url, simulator.key, simulator.secret) as client:
            wait_until(lambda: client.check() and simulator.clients == 1)
            acknowledged(simulator, len(CHANNELS))
            kept = record(tmp_path, simulator)
            ours = {row.trade_id: row for one in kept for table, row in one.rows if table == "fills"}
            wait_until(lambda: client.check() and len(client.fills()) >= len(ours))
        compare(client, ours, counts)
    url = f"sqlite:///{tmp_path / 'recorder.db'}"
    with Serving(url, ServingOptions(speed=None)) as serving, conversation("bitget", "typed-bitget", SERVED) as counts:
        with Listening(serving.url, serving.keys[-1], serving.options.secret) as again:
            wait_until(lambda: again.check() and len(again.fills()) >= len(ours))
            serving.wait_finished(timeout_s=60)
        compare(again, ours, counts)


def compare(client: Listening, ours: dict[str, Any], counts: Counter[str]) -> None:
    """Each fill was heard once, and says what is stored."""
    theirs = client.fills()
    counts["logins"] = 1
    counts["sent"] = counts["understood"] = len(theirs)
    counts["stored"] = len(ours)
    assert sorted(one["execId"] for one in theirs) == sorted(ours)
    for one in theirs:
        row = ours[one["execId"]]
        assert (one["orderId"], one["symbol"], one["side"]) == (row.order_id, row.symbol, row.side)
        (fee,) = one["feeDetail"]
        # Numbers of texts: it makes decimals of their digits.
        numbers = one["execPrice"], one["execQty"], fee["fee"]
        assert [str(number) for number in numbers] == [row.price, row.quantity, row.fee]
        assert (fee["feeCoin"], one["tradeScope"]) == (row.fee_currency, row.liquidity)
        counts["agree"] += 1
    assert all(client.pushes.values()), "every channel was read with its types"
