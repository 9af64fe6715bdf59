"""Deribit (JSON-RPC API v2)."""

from collections.abc import Mapping

from recorder.venues.base import Environment, Stream, Venue
from recorder.venues.channel_view import View
from recorder.venues.deribit import answers, decode, meaning, portal, questions, sign
from recorder.venues.deribit.accounting import DeribitAccounting
from recorder.venues.deribit.comparable import COMPARABLE, LISTS
from recorder.venues.deribit.stand_in import DeribitStandIn
from recorder.venues.deribit.symbols import native
from recorder.venues.deribit.views import VIEWS
from recorder.venues.limits import Connections
from recorder.venues.rest import Login, Token


class Deribit(Venue):
    """Implements `recorder.venues.base.Venue`, which documents the members."""

    name = "deribit"
    environments: Mapping[str, Environment] = {
        "production": Environment("https://www.deribit.com", "wss://www.deribit.com"),
        "testnet": Environment("https://test.deribit.com", "wss://test.deribit.com"),
    }
    heartbeat_s = 20.0
    connections = Connections(open_max=32)
    clock_tolerance_ms = sign.WINDOW_MS
    rest_limits = questions.REST_LIMITS
    accounting = DeribitAccounting()
    comparable = COMPARABLE
    lists = LISTS
    views: tuple[View, ...] = VIEWS
    stand_in = DeribitStandIn()

    native_symbol = staticmethod(native)
    check = staticmethod(meaning.check)
    server_time_request = staticmethod(meaning.server_time)
    server_time_ms = staticmethod(meaning.server_time_ms)
    classify = staticmethod(meaning.classify)
    questions = staticmethod(questions.questions)
    decode_answer = staticmethod(answers.decode_answer)
    ended_order = staticmethod(answers.ended_order)

    def streams(self, login: Login) -> tuple[Stream, ...]:
        """One socket, for all instruments."""
        return (Stream(login.stream_url + portal.PATH, portal.TOPICS),)

    def push_session(self, stream: Stream, login: Login, _token: Token | None) -> portal.DeribitSession:
        """The protocol of the socket."""
        return portal.DeribitSession(stream.topics, login.credentials)

    # Last: the name hides the module.
    decode = staticmethod(decode.decode)
