"""Hyperliquid, an order book on a chain of its own, where everything an account does is public."""

from collections.abc import Mapping

from recorder.model import Instrument
from recorder.venues.base import Environment, Stream, Venue
from recorder.venues.hyperliquid import decode, portal, questions, rest
from recorder.venues.hyperliquid.accounting import HyperliquidAccounting
from recorder.venues.hyperliquid.comparable import COMPARABLE, LISTS
from recorder.venues.hyperliquid.stand_in import HyperliquidStandIn
from recorder.venues.hyperliquid.views import VIEWS
from recorder.venues.limits import Connections
from recorder.venues.rest import CredentialField, Credentials, Login, Token


class Hyperliquid(Venue):
    """Implements `recorder.venues.base.Venue`, which documents the members."""

    name = "hyperliquid"
    credential_fields = (CredentialField("address", is_secret=False),)
    environments: Mapping[str, Environment] = {
        "production": Environment("https://api.hyperliquid.xyz", "wss://api.hyperliquid.xyz"),
        "testnet": Environment("https://api.hyperliquid-testnet.xyz", "wss://api.hyperliquid-testnet.xyz"),
    }
    #: The exchange disconnects a client to which it has sent nothing for 60 s.
    heartbeat_s = 20.0
    repeated_topics = portal.REPEATED
    connections = Connections(opened_max=30, window_s=60.0, open_max=10)
    #: Nothing is signed, so no clock is refused; but what happened in a gap is asked for by this machine's clock.
    clock_tolerance_ms = questions.MARGIN_MS
    rest_limits = questions.REST_LIMITS
    accounting = HyperliquidAccounting()
    views = VIEWS
    comparable = COMPARABLE
    lists = LISTS
    stand_in = HyperliquidStandIn()

    check = staticmethod(questions.check)
    server_time_request = staticmethod(questions.server_time)
    server_time_ms = staticmethod(questions.server_time_ms)
    classify = staticmethod(questions.classify)
    questions = staticmethod(questions.questions)
    decode_answer = staticmethod(rest.decode_answer)

    def identity_of(self, credentials: Credentials) -> tuple[str, ...]:
        """The address: capitals in it are only a checksum."""
        return (credentials["address"].lower(),)

    def streams(self, login: Login) -> tuple[Stream, ...]:
        """One socket."""
        return (Stream(login.stream_url + portal.PATH, portal.topics_of(login.symbols)),)

    def push_session(self, stream: Stream, login: Login, _token: Token | None) -> portal.HyperliquidSession:
        """The protocol of the socket."""
        return portal.HyperliquidSession(stream.topics, login.credentials["address"])

    def nautilus_id(self, instrument: Instrument) -> str:
        """`BTC-USD-PERP.HYPERLIQUID`; of a spot pair its coins, where the record says them: `HYPE-USDC-SPOT`."""
        symbol = instrument.symbol
        if instrument.kind == "spot" and instrument.base and instrument.quote:
            symbol = f"{instrument.base}-{instrument.quote}-SPOT"
        elif instrument.kind == "linear":
            symbol += "-USD-PERP"
        return f"{symbol}.HYPERLIQUID"

    # Last: the name hides the module.
    decode = staticmethod(decode.decode)
