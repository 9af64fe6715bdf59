"""python-binance at the stand-ins of Binance: it subscribes, hears and asks, and finds what is stored."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recorder.replay.serving import Serving, ServingOptions
from recorder.simulator import Simulator
from tests.clients.listening import ClientThread, conversation
from tests.clients.test_against_stand_ins import SERVED, STAND_IN, exchange, pushes, reconcile, record
from tests.clients.watching import same
from tests.waiting import wait_until

# It imports names of websockets that are about to go.
pytestmark = [pytest.mark.clients, pytest.mark.filterwarnings("ignore:websockets:DeprecationWarning")]

#: More messages than a test has: the client drops what nobody fetches in time.
QUEUE = 100_000


class Listening(ClientThread):
    """A client of the user data stream in a thread of its own.

    Args:
        given: the exchange's address, and the account's key and secret.
        point: sets the client's addresses.
        socket: makes its socket of a socket manager.
    """

    def __init__(
        self, given: tuple[str, str, str], point: Callable[[Any, str], None], socket: Callable[[Any, str], Any]
    ) -> None:
        super().__init__()
        self.pushes: list[dict[str, Any]] = []
        self._url, *self._given = given
        self._point, self._make = point, socket

    async def open(self) -> None:
        """Connect it, and read what it hears."""
        from binance import AsyncClient, BinanceSocketManager

        asyncio.set_event_loop(self._loop)
        self.client = AsyncClient(*self._given, loop=self._loop)
        self._point(self.client, self._url)
        manager = BinanceSocketManager(self.client, max_queue_size=QUEUE)
        self._socket = self._make(manager, self._url.replace("http", "ws", 1))
        self._stream = await self._socket.__aenter__()
        self._reading = self._loop.create_task(self._read())

    async def _read(self) -> None:
        while True:
            message = await self._stream.recv()
            if message is not None:
                self.pushes.append(message)

    async def close(self) -> None:
        """Disconnect it."""
        self._reading.cancel()
        await self._socket.__aexit__(None, None, None)
        await self.client.close_connection()


def point_spot(client: Any, url: str) -> None:
    """Spot: REST, and the WebSocket API, which the client's user socket uses."""
    client.API_URL = f"{url}/api"
    client.ws_api._url = f"{url.replace('http', 'ws', 1)}/ws-api/v3"


def spot_socket(manager: Any, _url: str) -> Any:
    """The socket of spot."""
    return manager.user_socket()


def given_of(simulator: Simulator) -> tuple[str, str, str]:
    """Address, key and secret."""
    return simulator.url, simulator.key, simulator.secret


def hear_again(
    tmp_path: Path, venue: str, point: Callable[[Any, str], None], socket: Callable[[Any, str], Any], pushes: list[str]
) -> None:
    """The client at the served record hears the same events, in their order."""
    url = f"sqlite:///{tmp_path / 'recorder.db'}"
    with Serving(url, ServingOptions(speed=None)) as serving, conversation(venue, "python-binance", SERVED) as counts:
        given = serving.url, serving.keys[-1], serving.options.secret
        with Listening(given, point, socket) as client:
            wait_until(lambda: len(client.pushes) >= len(pushes))
            serving.wait_finished(timeout_s=60)
        counts["sent"] = counts["understood"] = counts["stored"] = len(pushes)
        assert [*map(same, client.pushes)] == pushes


def event(frame: str) -> str:
    """The event in a frame of the WebSocket API, which also has the number of a subscription."""
    return same(json.loads(frame)["event"])


def test_python_binance_hears_and_asks_what_is_stored_of_spot(tmp_path: Path) -> None:
    with exchange("binance_spot") as simulator:
        with conversation("binance_spot", "python-binance", STAND_IN) as counts:
            with Listening(given_of(simulator), point_spot, spot_socket) as client:
                kept = record(tmp_path, simulator)
                sent = list(map(event, pushes(simulator, 1)))
                wait_until(lambda: len(client.pushes) >= len(sent))
                ours = {row.trade_id: row.price for one in kept for table, row in one.rows if table == "fills"}
                traded = {row.symbol for one in kept for table, row in one.rows if table == "fills"}
                asked = [client.do(client.client.get_my_trades(symbol=one, limit=1000)) for one in traded]
            counts["logins"] = 1
            counts["understood"] = len(client.pushes)
            reconcile(sent, map(same, client.pushes), [event(one.frame) for one in kept], counts)
        with conversation("binance_spot", "python-binance REST: fills", STAND_IN) as counts:
            trades = {str(one["id"]): one["price"] for rows in asked for one in rows}
            counts["sent"] = counts["understood"] = len(trades)
            counts["stored"] = len(ours)
            assert ours == trades
    hear_again(tmp_path, "binance_spot", point_spot, spot_socket, [event(one.frame) for one in kept])


def point_futures(client: Any, url: str) -> None:
    """USD-M futures: REST."""
    client.FUTURES_URL = f"{url}/fapi"


def futures_socket(manager: Any, url: str) -> Any:
    """The socket of USD-M futures; a listen key is in its address."""
    manager.FSTREAM_URL = f"{url}/"
    return manager.futures_user_socket()


def test_python_binance_hears_and_asks_what_is_stored_of_futures(tmp_path: Path) -> None:
    with exchange("binance") as simulator:
        with conversation("binance", "python-binance", STAND_IN) as counts:
            with Listening(given_of(simulator), point_futures, futures_socket) as client:
                kept = record(tmp_path, simulator)
                sent = pushes(simulator, 1)
                wait_until(lambda: len(client.pushes) >= len(sent))
                ours = {row.trade_id: row.price for one in kept for table, row in one.rows if table == "fills"}
                traded = {row.symbol for one in kept for table, row in one.rows if table == "fills"}
                asked = [client.do(client.client.futures_account_trades(symbol=one, limit=1000)) for one in traded]
                assert client.do(client.client.futures_position_information())
                assert client.do(client.client.futures_income_history())
            counts["understood"] = len(client.pushes)
            reconcile(sent, map(same, client.pushes), [one.frame for one in kept], counts)
        with conversation("binance", "python-binance REST: fills", STAND_IN) as counts:
            trades = {str(one["id"]): one["price"] for rows in asked for one in rows}
            counts["sent"] = counts["understood"] = len(trades)
            counts["stored"] = len(ours)
            assert ours == trades
    hear_again(tmp_path, "binance", point_futures, futures_socket, [one.frame for one in kept])


def test_the_sdk_of_binance_asks_what_is_stored_of_spot(tmp_path: Path) -> None:
    from binance_common.configuration import ConfigurationRestAPI
    from binance_sdk_spot.spot import Spot

    with (
        exchange("binance_spot") as simulator,
        conversation("binance_spot", "official SDK, REST: fills", STAND_IN) as counts,
    ):
        kept = record(tmp_path, simulator)
        given = ConfigurationRestAPI(api_key=simulator.key, api_secret=simulator.secret, base_path=simulator.url)
        rest = Spot(config_rest_api=given).rest_api
        ours = {row.trade_id: row.price for one in kept for table, row in one.rows if table == "fills"}
        traded = {row.symbol for one in kept for table, row in one.rows if table == "fills"}
        rows = [row for symbol in traded for row in rest.my_trades(symbol=symbol, limit=1000).data()]
        fills = {str(row.id): row.price for row in rows}
        counts["sent"] = counts["understood"] = len(fills)
        counts["stored"] = len(ours)
        assert ours == fills
        assert rest.get_account().data().balances


def test_the_sdk_of_binance_asks_what_is_stored_of_futures(tmp_path: Path) -> None:
    from binance_common.configuration import ConfigurationRestAPI
    from binance_sdk_derivatives_trading_usds_futures import derivatives_trading_usds_futures as futures

    with exchange("binance") as simulator, conversation("binance", "official SDK, REST: fills", STAND_IN) as counts:
        kept = record(tmp_path, simulator)
        given = ConfigurationRestAPI(api_key=simulator.key, api_secret=simulator.secret, base_path=simulator.url)
        rest = futures.DerivativesTradingUsdsFutures(config_rest_api=given).rest_api
        ours = {row.trade_id: row.price for one in kept for table, row in one.rows if table == "fills"}
        traded = {row.symbol for one in kept for table, row in one.rows if table == "fills"}
        rows = [row for symbol in traded for row in rest.account_trade_list(symbol=symbol, limit=1000).data()]
        fills = {str(row.id): row.price for row in rows}
        counts["sent"] = counts["understood"] = len(fills)
        counts["stored"] = len(ours)
        assert ours == fills
        assert rest.position_information_v3().data()
