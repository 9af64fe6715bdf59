"""Bitget (API v3, unified account)."""

from collections.abc import Mapping

from recorder.model import Instrument
from recorder.venues.base import Environment, Stream, Venue
from recorder.venues.bitget import answers, decode, portal, questions, sign
from recorder.venues.bitget.accounting import BitgetAccounting
from recorder.venues.bitget.comparable import COMPARABLE, LISTS
from recorder.venues.bitget.stand_in import BitgetStandIn
from recorder.venues.bitget.views import VIEWS
from recorder.venues.channel_view import View
from recorder.venues.limits import Connections
from recorder.venues.rest import CredentialField, Login, Token


class Bitget(Venue):
    """Implements `recorder.venues.base.Venue`, which documents the members."""

    name = "bitget"
    credential_fields = (CredentialField("key"), CredentialField("secret"), CredentialField("passphrase"))
    #: Over REST, a header alone tells the two apart.
    environments: Mapping[str, Environment] = {
        "production": Environment("https://api.bitget.com", "wss://ws.bitget.com"),
        "demo": Environment("https://api.bitget.com", "wss://wspap.bitget.com", {"paptrading": "1"}),
    }
    #: The exchange asks for a ping every 30 s, and cuts a connection that has sent none for 2 minutes.
    heartbeat_s = 25.0
    #: It used to close connections after 24 hours, and no longer says whether it does.
    connection_max_s = 23 * 3600.0
    connections = Connections(opened_max=300, window_s=300.0, open_max=100)
    clock_tolerance_ms = sign.WINDOW_MS
    rest_limits = questions.REST_LIMITS
    accounting = BitgetAccounting()
    comparable = COMPARABLE
    lists = LISTS
    views: tuple[View, ...] = VIEWS
    stand_in = BitgetStandIn()

    native_symbol = staticmethod(str.upper)
    check = staticmethod(questions.check)
    server_time_request = staticmethod(questions.server_time)
    server_time_ms = staticmethod(questions.server_time_ms)
    classify = staticmethod(questions.classify)
    wait_s = staticmethod(questions.wait_s)
    questions = staticmethod(questions.questions)
    decode_answer = staticmethod(answers.decode_answer)
    ended_order = staticmethod(answers.ended_order)

    def streams(self, login: Login) -> tuple[Stream, ...]:
        """One socket, for all product lines."""
        return (Stream(login.stream_url + portal.PATH, portal.TOPICS),)

    def push_session(self, stream: Stream, login: Login, _token: Token | None) -> portal.BitgetSession:
        """The protocol of the private socket."""
        return portal.BitgetSession(stream.topics, login.credentials)

    def nautilus_id(self, instrument: Instrument) -> str:
        """`BTCUSDT-PERP.BITGET`; `BTCUSDT.BITGET` on spot; a dated contract as it is."""
        is_perpetual = instrument.kind != "spot" and not instrument.symbol[-1:].isdigit()
        return f"{instrument.symbol}{'-PERP' if is_perpetual else ''}.BITGET"

    # Last: the name hides the module.
    decode = staticmethod(decode.decode)
