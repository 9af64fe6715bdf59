"""Hyperliquid, an order book on a chain of its own, where everything an account does is public."""

from collections.abc import Mapping

from recorder.venues.base import Accounting, Environment, Stream
from recorder.venues.hyperliquid import decode, portal, questions, rest
from recorder.venues.hyperliquid.accounting import HyperliquidAccounting
from recorder.venues.hyperliquid.comparable import COMPARABLE
from recorder.venues.hyperliquid.stand_in import HyperliquidStandIn
from recorder.venues.rest import CredentialField, Login, RenewToken, RequestToken, RestLimit, Token
from recorder.venues.stand_in import StandIn


class Hyperliquid:
    """Implements `recorder.venues.base.Venue`, which documents the members."""

    name = "hyperliquid"
    credential_fields: tuple[CredentialField, ...] = (CredentialField("address", is_secret=False),)
    environments: Mapping[str, Environment] = {
        "production": Environment("https://api.hyperliquid.xyz", "wss://api.hyperliquid.xyz"),
        "testnet": Environment("https://api.hyperliquid-testnet.xyz", "wss://api.hyperliquid-testnet.xyz"),
    }
    needs_symbols = False
    #: The exchange disconnects a client to which it has sent nothing for 60 s.
    heartbeat_s = 20.0
    connection_max_s: float | None = None
    repeated_topics: Mapping[str, float] = portal.REPEATED
    #: Nothing is signed, so no clock is refused; but what happened in a gap is asked for by this machine's clock.
    clock_tolerance_ms = questions.MARGIN_MS
    pushes_fills = True
    token: RequestToken | None = None
    renew: RenewToken | None = None
    rest_limits: tuple[RestLimit, ...] = questions.REST_LIMITS
    accounting: Accounting = HyperliquidAccounting()

    comparable = COMPARABLE
    stand_in: StandIn = HyperliquidStandIn()

    check = staticmethod(questions.check)
    server_time_request = staticmethod(questions.server_time)
    server_time_ms = staticmethod(questions.server_time_ms)
    classify = staticmethod(questions.classify)
    questions = staticmethod(questions.questions)
    decode_answer = staticmethod(rest.decode_answer)
    decode_plain = staticmethod(decode.decode_plain)

    def streams(self, login: Login) -> tuple[Stream, ...]:
        """One socket."""
        return (Stream(login.stream_url + portal.PATH, portal.topics_of(login.symbols)),)

    def native_symbol(self, symbol: str) -> str:
        """Symbols have small letters, too (`kPEPE`, `xyz:TSLA`): only the venue's own spelling is known."""
        return symbol

    def symbol_of(self, _topic: str) -> str | None:
        """No topic is about one symbol."""
        return None

    def connection_url(self, stream: Stream, _login: Login, _token: Token | None, _now_ms: int) -> str:
        """There is nothing to sign."""
        return stream.url

    def push_session(self, stream: Stream, login: Login, _token: Token | None) -> portal.HyperliquidSession:
        """The protocol of the socket."""
        return portal.HyperliquidSession(stream.topics, login.credentials["address"])

    def wait_s(self, _status: int, _headers: Mapping[str, str], _body: bytes, _now_ms: int) -> float:
        """It does not say how long to wait."""
        return 0.0

    # Last: the name hides the module.
    decode = staticmethod(decode.decode)
