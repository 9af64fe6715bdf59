"""Bybit (API v5, unified trading account)."""

from collections.abc import Mapping

from recorder.model import Instrument
from recorder.venues.base import Environment, Stream, Venue
from recorder.venues.bybit import answers, decode, portal, questions, sign
from recorder.venues.bybit.accounting import BybitAccounting
from recorder.venues.bybit.comparable import COMPARABLE, LISTS
from recorder.venues.bybit.stand_in import BybitStandIn
from recorder.venues.bybit.views import VIEWS
from recorder.venues.limits import Connections
from recorder.venues.rest import Login, Token


class Bybit(Venue):
    """Implements `recorder.venues.base.Venue`, which documents the members."""

    name = "bybit"
    environments: Mapping[str, Environment] = {
        "production": Environment("https://api.bybit.com", "wss://stream.bybit.com"),
        "testnet": Environment("https://api-testnet.bybit.com", "wss://stream-testnet.bybit.com"),
        "demo": Environment("https://api-demo.bybit.com", "wss://stream-demo.bybit.com"),
    }
    #: The exchange asks for one in 20 s.
    heartbeat_s = 20.0
    connections = Connections(opened_max=500, window_s=300.0)
    clock_tolerance_ms = 2 * sign.AHEAD_MS
    rest_limits = questions.REST_LIMITS
    accounting = BybitAccounting()
    views = VIEWS
    comparable = COMPARABLE
    lists = LISTS
    stand_in = BybitStandIn()

    native_symbol = staticmethod(str.upper)
    check = staticmethod(questions.check)
    server_time_request = staticmethod(questions.server_time)
    server_time_ms = staticmethod(questions.server_time_ms)
    classify = staticmethod(questions.classify)
    wait_s = staticmethod(questions.wait_s)
    questions = staticmethod(questions.questions)
    decode_answer = staticmethod(answers.decode_answer)
    decode_plain = staticmethod(decode.decode_plain)

    def streams(self, login: Login) -> tuple[Stream, ...]:
        """One socket, for all categories and symbols."""
        return (Stream(login.stream_url + portal.PATH, portal.TOPICS),)

    def push_session(self, stream: Stream, login: Login, _token: Token | None) -> portal.BybitSession:
        """The protocol of the private stream."""
        return portal.BybitSession(stream.topics, login.credentials)

    def nautilus_id(self, instrument: Instrument) -> str:
        """The category is part of it: `BTCUSDT-LINEAR.BYBIT`, `BTCUSDT-SPOT.BYBIT`."""
        suffix = "" if instrument.market is None else f"-{instrument.market.upper()}"
        return f"{instrument.symbol}{suffix}.BYBIT"

    # Last: the name hides the module.
    decode = staticmethod(decode.decode)
