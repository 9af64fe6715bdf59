"""FMex, a bitcoin-margined contract exchange (closed in February 2020)."""

from urllib.parse import urlsplit

from recorder.venues.base import Accounting, Credentials
from recorder.venues.fmex import compare, decode, portal, reconcile, rest, sign
from recorder.venues.fmex.accounting import FMexAccounting
from recorder.venues.fmex.stand_in import FMexStandIn
from recorder.venues.stand_in import StandIn


class FMex:
    """Implements `recorder.venues.base.Venue`, which documents the members."""

    name = "fmex"
    default_url = "https://api.fmex.com"
    #: The page asks for 10 to 20 s.
    heartbeat_s = 15.0
    clock_tolerance_ms = sign.TIMESTAMP_WINDOW_MS
    pushes_fills = False
    rest_requests_max = rest.REQUESTS_MAX
    rest_window_s = rest.REQUESTS_WINDOW_S
    accounting: Accounting = FMexAccounting()
    stand_in: StandIn = FMexStandIn()

    topics = staticmethod(portal.topics_of)
    native_symbol = staticmethod(str.lower)
    symbol_of = staticmethod(portal.symbol_of)
    push_session = portal.FMexSession
    server_time_request = staticmethod(rest.server_time)
    server_time_ms = staticmethod(rest.read_server_time_ms)
    classify = staticmethod(rest.classify)
    reconciliation = staticmethod(reconcile.questions)
    snapshot = staticmethod(reconcile.snapshot)
    contradictions = staticmethod(compare.contradictions)
    decode_answer = staticmethod(rest.decode_answer)
    decode_plain = staticmethod(decode.decode_plain)

    def push_url(self, url: str) -> str:
        """The portal has the same host as the REST interface, under ws(s)."""
        parts = urlsplit(url)
        return f"{'ws' if parts.scheme == 'http' else 'wss'}://{parts.netloc}{portal.PUSH_PATH}"

    def signed_push_url(self, url: str, credentials: Credentials, now_ms: int) -> str:
        """Only the http address is signed; the ws address carries the result."""
        return sign.push_address(url + portal.PUSH_PATH, self.push_url(url), *credentials, now_ms)

    # Last: the name hides the module.
    decode = staticmethod(decode.decode)
