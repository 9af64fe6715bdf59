"""python-binance and the official SDK at the stand-ins of Binance: they hear, ask, and find what is stored."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from recorder.replay.serving import Serving, ServingOptions
from recorder.simulator import Simulator
from tests.clients.listening import ClientThread, conversation
from tests.clients.test_against_stand_ins import COIN_M, SERVED, STAND_IN, exchange, pushes, reconcile, record
from tests.clients.watching import Stored, same
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
    """Futures: REST."""
    client.FUTURES_URL, client.FUTURES_COIN_URL = f"{url}/fapi", f"{url}/dapi"


def usd_m_socket(manager: Any, url: str) -> Any:
    """The socket of USD-M futures; a listen key is in its address."""
    manager.FSTREAM_URL = f"{url}/"
    return manager.futures_user_socket()


def coin_m_socket(manager: Any, url: str) -> Any:
    """The same of COIN-M futures."""
    manager.DSTREAM_URL = f"{url}/"
    return manager.coin_futures_user_socket()


@pytest.mark.parametrize(
    ("venue", "socket", "methods"), [("binance", usd_m_socket, "futures"), (COIN_M, coin_m_socket, "futures_coin")]
)
def test_python_binance_hears_and_asks_what_is_stored_of_futures(
    tmp_path: Path, venue: str, socket: Callable[[Any, str], Any], methods: str
) -> None:
    def ask(client: Listening, method: str, **asked: object) -> Any:
        return client.do(getattr(client.client, f"{methods}_{method}")(**asked))

    with exchange(venue) as simulator:
        with conversation(venue, "python-binance", STAND_IN) as counts:
            with Listening(given_of(simulator), point_futures, socket) as client:
                kept = record(tmp_path, simulator)
                sent = pushes(simulator, 1)
                wait_until(lambda: len(client.pushes) >= len(sent))
                ours = {row.trade_id: row.price for one in kept for table, row in one.rows if table == "fills"}
                traded = {row.symbol for one in kept for table, row in one.rows if table == "fills"}
                asked = [ask(client, "account_trades", symbol=one, limit=1000) for one in traded]
                for method in ("position_information", "income_history", "account_balance", "exchange_info"):
                    assert ask(client, method)
            counts["understood"] = len(client.pushes)
            reconcile(sent, map(same, client.pushes), [one.frame for one in kept], counts)
        with conversation(venue, "python-binance REST: fills", STAND_IN) as counts:
            trades = {str(one["id"]): one["price"] for rows in asked for one in rows}
            counts["sent"] = counts["understood"] = len(trades)
            counts["stored"] = len(ours)
            assert ours == trades
    hear_again(tmp_path, venue, point_futures, socket, [one.frame for one in kept])


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


def futures_sdk(product: str, given: tuple[str, str, str]) -> Any:
    """The official client of a futures product, `usds` or `coin`."""
    from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams

    url, key, secret = given
    name = f"derivatives_trading_{product}_futures"
    return getattr(import_module(f"binance_sdk_{name}.{name}"), f"DerivativesTrading{product.title()}Futures")(
        config_rest_api=ConfigurationRestAPI(api_key=key, api_secret=secret, base_path=url),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=url.replace("http", "ws", 1)),
    )


#: Venue in the table → the product as the SDK names it.
SDK = {"binance": "usds", COIN_M: "coin"}
#: Methods of the SDK about an account, and what else they are asked with.
USD_M_QUESTIONS: list[tuple[str, dict[str, str]]] = [
    ("position_information_v3", {}),
    ("futures_account_balance_v3", {}),
    ("notional_and_leverage_brackets", {}),
    ("notional_and_leverage_brackets", {"symbol": "BTCUSDT"}),
    ("get_current_position_mode", {}),
    ("get_income_history", {}),
    ("exchange_information", {}),
]
COIN_M_QUESTIONS: list[tuple[str, dict[str, str]]] = [
    ("position_information", {}),
    ("position_information", {"pair": "BTCUSD"}),
    ("position_information", {"margin_asset": "ETH"}),
    ("futures_account_balance", {}),
    ("account_information", {}),
    ("account_trade_list", {"pair": "BTCUSD"}),
    ("all_orders", {"pair": "BTCUSD"}),
    ("current_all_open_orders", {"pair": "BTCUSD"}),
    ("notional_bracket_for_symbol", {}),
    ("get_current_position_mode", {}),
    ("get_income_history", {}),
    ("exchange_information", {}),
]


@pytest.mark.parametrize(("venue", "questions"), [("binance", USD_M_QUESTIONS), (COIN_M, COIN_M_QUESTIONS)])
def test_the_sdk_of_binance_asks_what_is_stored_of_futures(
    tmp_path: Path, venue: str, questions: list[tuple[str, dict[str, str]]], caplog: pytest.LogCaptureFixture
) -> None:
    with exchange(venue) as simulator, conversation(venue, "official SDK, REST: fills", STAND_IN) as counts:
        kept = record(tmp_path, simulator)
        rest = futures_sdk(SDK[venue], given_of(simulator)).rest_api
        ours = {row.trade_id: row.price for one in kept for table, row in one.rows if table == "fills"}
        traded = {row.symbol for one in kept for table, row in one.rows if table == "fills"}
        rows = [row for symbol in traded for row in rest.account_trade_list(symbol=symbol, limit=1000).data()]
        fills = {str(row.id): row.price for row in rows}
        counts["sent"] = counts["understood"] = len(fills)
        counts["stored"] = len(ours)
        assert ours == fills
        for method, asked in questions:
            told = getattr(rest, method)(**asked).data()
            assert told
            for row in told if isinstance(told, list) else []:
                assert "pair" not in asked or row.symbol.startswith(asked["pair"])
                assert "margin_asset" not in asked or row.symbol.startswith(asked["margin_asset"])
        # It says so if an answer does not have the types of its documentation.
        assert [one.getMessage() for one in caplog.records if "declared types" in one.getMessage()] == []


class SdkListening(ClientThread):
    """The official client of a futures product, which subscribes to its listen key on a combined stream."""

    def __init__(self, venue: str, given: tuple[str, str, str]) -> None:
        super().__init__()
        self.heard: list[Any] = []
        self._client = futures_sdk(SDK[venue], given)

    async def open(self) -> None:
        """Connect it, and subscribe."""
        answer = await asyncio.to_thread(self._client.rest_api.start_user_data_stream)
        await self._client.websocket_streams.create_connection()
        stream = await self._client.websocket_streams.user_data(answer.data().listen_key)
        stream.on("message", lambda event: self.heard.append(event.actual_instance))

    async def close(self) -> None:
        """Disconnect it."""
        await self._client.websocket_streams.close_connection()


def check(event: Any, kept: Stored, counts: Counter[str]) -> None:
    """What the SDK made of a push is what the rows of the same frame say."""
    kind = type(event).__name__
    if isinstance(event, dict):
        assert same(event) == kept.frame and event["e"] == "ALGO_UPDATE"
        counts["conditional orders, for which its COIN-M has no type"] += 1
        return
    for table, row in kept.rows:
        if table == "order_updates" and kind == "AlgoUpdate":
            assert (f"algo-{event.o.aid}", event.o.s, event.o.q) == (row.order_id, row.symbol, row.quantity)
        elif table == "order_updates":
            assert (str(event.o.i), event.o.c, event.o.s) == (row.order_id, row.client_order_id, row.symbol)
            assert (event.o.q, event.o.z) == (row.quantity, row.filled_quantity)
        elif table == "fills":
            assert (str(event.o.t), event.o.L, event.o.l) == (row.trade_id, row.price, row.quantity)
            assert (event.o.n, event.o.N, event.o.m) == (row.fee, row.fee_currency, row.liquidity == "maker")
        elif table == "position_updates":
            assert (row.quantity, row.entry_price) in [(one.pa, one.ep) for one in event.a.P if one.s == row.symbol]
        else:
            assert row.balance in [one.wb for one in event.a.B if one.a == row.currency]
        counts["agree"] += 1
    counts["understood"] += 1


@pytest.mark.parametrize("venue", SDK)
def test_the_sdk_of_binance_hears_what_is_stored_of_futures(tmp_path: Path, venue: str) -> None:
    with exchange(venue) as simulator, conversation(venue, "official SDK", STAND_IN) as counts:
        with SdkListening(venue, given_of(simulator)) as client:
            wait_until(lambda: simulator.clients >= 1)
            number = simulator.clients
            kept = record(tmp_path, simulator)
            sent = [same(json.loads(frame)["data"]) for frame in pushes(simulator, number)]
            wait_until(lambda: len(client.heard) >= len(sent))
        rows = {one.frame: one for one in kept}
        for event, frame in zip(client.heard, sent, strict=True):
            check(event, rows[frame], counts)
        reconcile(sent, sent, list(rows), counts)
    url = f"sqlite:///{tmp_path / 'recorder.db'}"
    with Serving(url, ServingOptions(speed=None)) as serving, conversation(venue, "official SDK", SERVED) as counts:
        with SdkListening(venue, (serving.url, serving.keys[-1], serving.options.secret)) as client:
            wait_until(lambda: len(client.heard) >= len(kept))
            serving.wait_finished(timeout_s=60)
        for event, one in zip(client.heard, kept, strict=True):
            check(event, one, counts)
        counts["sent"] = counts["stored"] = len(kept)
