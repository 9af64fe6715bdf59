"""FMex, a bitcoin-margined contract exchange (closed in February 2020)."""

from collections.abc import Mapping

from recorder.venues.base import Environment, Stream, Venue
from recorder.venues.fmex import decode, portal, reconcile, rest, sign
from recorder.venues.fmex.accounting import FMexAccounting
from recorder.venues.fmex.comparable import COMPARABLE, LISTS
from recorder.venues.fmex.stand_in import FMexStandIn
from recorder.venues.fmex.views import VIEWS
from recorder.venues.rest import Known, Login, Purpose, Questions, RestLimit, Token, no_questions


class FMex(Venue):
    """Implements `recorder.venues.base.Venue`, which documents the members."""

    name = "fmex"
    environments: Mapping[str, Environment] = {"production": Environment("https://api.fmex.com", "wss://api.fmex.com")}
    needs_symbols = True
    #: The page asks for 10 to 20 s.
    heartbeat_s = 15.0
    clock_tolerance_ms = sign.TIMESTAMP_WINDOW_MS
    pushes_fills = False
    rest_limits: tuple[RestLimit, ...] = (RestLimit(rest.REQUESTS_MAX, rest.REQUESTS_WINDOW_S),)
    comparable = COMPARABLE
    lists = LISTS
    accounting = FMexAccounting()
    views = VIEWS
    stand_in = FMexStandIn()

    native_symbol = staticmethod(str.lower)
    symbol_of = staticmethod(portal.symbol_of)
    server_time_request = staticmethod(rest.server_time)
    server_time_ms = staticmethod(rest.read_server_time_ms)
    classify = staticmethod(rest.classify)
    decode_answer = staticmethod(rest.decode_answer)
    ended_order = staticmethod(rest.ended_order)
    decode_plain = staticmethod(decode.decode_plain)

    def streams(self, login: Login) -> tuple[Stream, ...]:
        """One socket."""
        return (Stream(login.stream_url + portal.PUSH_PATH, portal.topics_of(login.symbols)),)

    def connection_url(self, stream: Stream, login: Login, _token: Token | None, now_ms: int) -> str:
        """Only the http address is signed; the ws address carries the result."""
        key, secret = login.credentials["key"], login.credentials["secret"]
        return sign.push_address(login.url + portal.PUSH_PATH, stream.url, key, secret, now_ms)

    def push_session(self, stream: Stream, _login: Login, _token: Token | None) -> portal.FMexSession:
        """The protocol of the push portal."""
        return portal.FMexSession(stream.topics)

    def questions(self, purpose: Purpose, known: Known) -> Questions:
        """It has no ledger and no list of instruments, and forgets nothing that a backfill could ask for."""
        if purpose is Purpose.RECONCILE:
            return reconcile.questions(known)
        return reconcile.snapshot() if purpose is Purpose.SNAPSHOT else no_questions()

    # Last: the name hides the module.
    decode = staticmethod(decode.decode)
