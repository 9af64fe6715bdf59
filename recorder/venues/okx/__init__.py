"""OKX (API v5)."""

from collections.abc import Mapping

from recorder.venues.base import Environment, Stream, Venue
from recorder.venues.channel_view import View
from recorder.venues.limits import Connections
from recorder.venues.okx import answers, decode, portal, questions, sign
from recorder.venues.okx.accounting import OKXAccounting
from recorder.venues.okx.comparable import COMPARABLE, LISTS
from recorder.venues.okx.stand_in import OKXStandIn
from recorder.venues.okx.views import VIEWS
from recorder.venues.rest import CredentialField, Login, Token

_DEMO = {"x-simulated-trading": "1"}


class OKX(Venue):
    """Implements `recorder.venues.base.Venue`, which documents the members."""

    name = "okx"
    credential_fields = (CredentialField("key"), CredentialField("secret"), CredentialField("passphrase"))
    #: By where the account was registered: a key is not known anywhere else.
    environments: Mapping[str, Environment] = {
        "production": Environment("https://www.okx.com", "wss://ws.okx.com:8443"),
        "eea": Environment("https://eea.okx.com", "wss://wseea.okx.com:8443"),
        "us": Environment("https://us.okx.com", "wss://wsus.okx.com:8443"),
        # Demo trading: sockets of its own, and a header of each request to the same hosts.
        "demo": Environment("https://www.okx.com", "wss://wspap.okx.com:8443", _DEMO),
        "eea-demo": Environment("https://eea.okx.com", "wss://wseeapap.okx.com:8443", _DEMO),
        "us-demo": Environment("https://us.okx.com", "wss://wsuspap.okx.com:8443", _DEMO),
    }
    #: The exchange cuts a connection on which no data has flowed for 30 s.
    heartbeat_s = 20.0
    connections = Connections(opened_max=3, window_s=1.0)
    clock_tolerance_ms = sign.WINDOW_MS
    rest_limits = questions.REST_LIMITS
    accounting = OKXAccounting()
    comparable = COMPARABLE
    lists = LISTS
    views: tuple[View, ...] = VIEWS
    stand_in = OKXStandIn()

    native_symbol = staticmethod(str.upper)
    check = staticmethod(questions.check)
    server_time_request = staticmethod(questions.server_time)
    server_time_ms = staticmethod(questions.server_time_ms)
    classify = staticmethod(questions.classify)
    questions = staticmethod(questions.questions)
    decode_answer = staticmethod(answers.decode_answer)
    ended_order = staticmethod(answers.ended_order)

    def streams(self, login: Login) -> tuple[Stream, ...]:
        """Two sockets, for all instruments."""
        return tuple(Stream(login.stream_url + path, portal.TOPICS[name], name) for name, path in portal.PATHS.items())

    def push_session(self, stream: Stream, login: Login, _token: Token | None) -> portal.OKXSession:
        """The protocol of a private socket."""
        return portal.OKXSession(stream.topics, login.credentials)

    # Last: the name hides the module.
    decode = staticmethod(decode.decode)
