"""Binance spot (WebSocket API v3, REST API v3)."""

from collections.abc import Mapping

from recorder.model import Instrument
from recorder.venues.base import Environment, Stream, Venue
from recorder.venues.binance_spot import answers, decode, portal, questions, sign
from recorder.venues.binance_spot.accounting import BinanceSpotAccounting
from recorder.venues.binance_spot.comparable import COMPARABLE, LISTS
from recorder.venues.binance_spot.stand_in import BinanceSpotStandIn
from recorder.venues.binance_spot.views import VIEWS
from recorder.venues.channel_view import View
from recorder.venues.limits import Connections
from recorder.venues.rest import Login, Token


class BinanceSpot(Venue):
    """Implements `recorder.venues.base.Venue`, which documents the members."""

    name = "binance_spot"
    environments: Mapping[str, Environment] = {
        "production": Environment("https://api.binance.com", "wss://ws-api.binance.com:443"),
        "testnet": Environment("https://testnet.binance.vision", "wss://ws-api.testnet.binance.vision"),
        "demo": Environment("https://demo-api.binance.com", "wss://demo-ws-api.binance.com"),
    }
    #: Everything is pushed for all of them, but what happened in a gap is listed by symbol only.
    needs_symbols = True
    #: The server pings as often, and disconnects a client a minute after one that was not answered.
    heartbeat_s = 20.0
    #: The exchange disconnects after 24 hours.
    connection_max_s = 23.5 * 3_600
    connections = Connections(opened_max=300, window_s=300.0)
    clock_tolerance_ms = sign.CLOCK_TOLERANCE_MS
    rest_limits = questions.REST_LIMITS
    accounting = BinanceSpotAccounting()
    comparable = COMPARABLE
    lists = LISTS
    views: tuple[View, ...] = VIEWS
    stand_in = BinanceSpotStandIn()

    native_symbol = staticmethod(str.upper)
    check = staticmethod(questions.check)
    server_time_request = staticmethod(questions.server_time)
    server_time_ms = staticmethod(questions.server_time_ms)
    classify = staticmethod(questions.classify)
    questions = staticmethod(questions.questions)
    decode_answer = staticmethod(answers.decode_answer)
    ended_order = staticmethod(answers.ended_order)

    def streams(self, login: Login) -> tuple[Stream, ...]:
        """One socket, for all symbols."""
        return (Stream(login.stream_url + portal.PATH, portal.TOPICS),)

    def push_session(self, stream: Stream, login: Login, _token: Token | None) -> portal.BinanceSpotSession:
        """The protocol of the WebSocket API."""
        return portal.BinanceSpotSession(stream.topics, login.credentials)

    def nautilus_id(self, instrument: Instrument) -> str:
        """`BTCUSDT.BINANCE`: futures and spot are one venue."""
        return f"{instrument.symbol}.BINANCE"

    # Last: the name hides the module.
    decode = staticmethod(decode.decode)
