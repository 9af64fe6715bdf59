"""Kraken: spot (WebSocket v2), and on request derivatives (Unified WebSocket)."""

from collections.abc import Mapping

from recorder.venues.base import Environment, Stream, Venue
from recorder.venues.channel_view import View
from recorder.venues.kraken import answers, decode, names, portal, questions
from recorder.venues.kraken.accounting import KrakenAccounting
from recorder.venues.kraken.comparable import COMPARABLE, LISTS
from recorder.venues.kraken.names import DERIVATIVES
from recorder.venues.kraken.stand_in import KrakenStandIn
from recorder.venues.kraken.views import VIEWS
from recorder.venues.limits import Connections
from recorder.venues.rest import Login, Token


class Kraken(Venue):
    """Implements `recorder.venues.base.Venue`, which documents the members."""

    name = "kraken"
    #: There is no test environment: the exchange's "beta" addresses trade for real.
    environments: Mapping[str, Environment] = {
        "production": Environment("https://api.kraken.com", "wss://ws-auth.kraken.com"),
        # The same, and a second socket.
        DERIVATIVES: Environment("https://api.kraken.com", "wss://ws-auth.kraken.com"),
    }
    #: The exchange closes a connection on which it has heard nothing for a minute.
    heartbeat_s = 30.0
    connections = Connections(opened_max=150, window_s=600.0, ban_s=questions.BANNED_S)
    #: Requests carry no time that has to be right.
    clock_tolerance_ms = 60_000
    rest_limits = questions.REST_LIMITS
    accounting = KrakenAccounting()
    comparable = COMPARABLE
    lists = LISTS
    views: tuple[View, ...] = VIEWS
    stand_in = KrakenStandIn()

    native_symbol = staticmethod(names.symbol)
    check = staticmethod(questions.check)
    token = staticmethod(questions.token)
    server_time_request = staticmethod(questions.server_time)
    server_time_ms = staticmethod(questions.server_time_ms)
    classify = staticmethod(questions.classify)
    wait_s = staticmethod(questions.wait_s)
    questions = staticmethod(questions.questions)
    decode_answer = staticmethod(answers.decode_answer)
    ended_order = staticmethod(answers.ended_order)

    def streams(self, login: Login) -> tuple[Stream, ...]:
        """A socket of spot, and with derivatives another one."""
        return portal.streams(login)

    def push_session(self, stream: Stream, _login: Login, token: Token | None) -> portal.KrakenSession:
        """The protocol of a private socket."""
        return portal.KrakenSession(token, stream.topics)

    # Last: the name hides the module.
    decode = staticmethod(decode.decode)
