"""Binance futures: USDⓈ-M, and COIN-M on hosts of its own."""

from collections.abc import Mapping

from recorder.model import Instrument
from recorder.venues.base import Environment, Stream, Venue
from recorder.venues.binance import answers, decode, portal, questions, sign, verdicts
from recorder.venues.binance.accounting import BinanceAccounting
from recorder.venues.binance.comparable import COMPARABLE, LISTS
from recorder.venues.binance.stand_in import BinanceStandIn
from recorder.venues.binance.views import VIEWS
from recorder.venues.channel_view import View
from recorder.venues.rest import Login, Token


class Binance(Venue):
    """Implements `recorder.venues.base.Venue`, which documents the members."""

    name = "binance"
    environments: Mapping[str, Environment] = {
        "production": Environment("https://fapi.binance.com", "wss://fstream.binance.com"),
        "demo": Environment("https://demo-fapi.binance.com", "wss://demo-fstream.binance.com"),
        "testnet": Environment("https://testnet.binancefuture.com", "wss://fstream.binancefuture.com"),
        "coin-m": Environment("https://dapi.binance.com", "wss://dstream.binance.com"),
        "coin-m-demo": Environment("https://demo-dapi.binance.com", "wss://demo-dstream.binance.com"),
        "coin-m-testnet": Environment("https://testnet.binancefuture.com", "wss://dstream.binancefuture.com"),
    }
    heartbeat_s = 20.0
    #: The exchange ends a connection after 24 hours.
    connection_max_s = 23.5 * 3600
    #: A listen key dies unnoticed, and a wrong path opens.
    fails_silently = True
    clock_tolerance_ms = sign.CLOCK_TOLERANCE_MS
    rest_limits = questions.REST_LIMITS
    accounting = BinanceAccounting()
    comparable = COMPARABLE
    lists = LISTS
    views: tuple[View, ...] = VIEWS
    stand_in = BinanceStandIn()

    native_symbol = staticmethod(str.upper)
    check = staticmethod(verdicts.check)
    token = staticmethod(portal.token)
    renew = staticmethod(portal.renew)
    server_time_request = staticmethod(verdicts.server_time)
    server_time_ms = staticmethod(verdicts.server_time_ms)
    classify = staticmethod(verdicts.classify)
    wait_s = staticmethod(verdicts.wait_s)
    questions = staticmethod(questions.questions)
    decode_answer = staticmethod(answers.decode_answer)
    ended_order = staticmethod(answers.ended_order)

    def streams(self, login: Login) -> tuple[Stream, ...]:
        """One socket, for all symbols."""
        return (portal.stream_of(login),)

    def connection_url(self, stream: Stream, _login: Login, token: Token | None, _now_ms: int) -> str:
        """With the listen key."""
        assert token is not None
        return portal.address(stream, token)

    def push_session(self, stream: Stream, _login: Login, _token: Token | None) -> portal.BinanceSession:
        """The protocol of the private socket."""
        return portal.BinanceSession(stream.topics)

    def nautilus_id(self, instrument: Instrument) -> str:
        """`BTCUSDT-PERP.BINANCE`; `BTCUSDT_260925` and `BTCUSD_PERP` as they are."""
        suffix = "" if "_" in instrument.symbol else "-PERP"
        return f"{instrument.symbol}{suffix}.BINANCE"

    # Last: the name hides the module.
    decode = staticmethod(decode.decode)
