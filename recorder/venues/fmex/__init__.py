"""FMex, a bitcoin-margined contract exchange (closed in February 2020)."""

from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

from recorder.model import Decoded
from recorder.venues.base import (
    Accounting,
    Answer,
    Contradiction,
    Credentials,
    Known,
    Passed,
    PushSession,
    Questions,
    RestRequest,
)
from recorder.venues.fmex import accounting, compare, decode, orders, portal, reconcile, rest, sign
from recorder.venues.fmex.portal import PUSH_PATH
from recorder.venues.fmex.stand_in import FMexStandIn
from recorder.venues.stand_in import StandIn


class FMex:
    """Implements `recorder.venues.base.Venue`."""

    name = "fmex"
    default_url = "https://api.fmex.com"
    #: The page asks for 10 to 20 s.
    heartbeat_s = 15.0
    clock_tolerance_ms = sign.TIMESTAMP_WINDOW_MS

    def topics(self, symbols: tuple[str, ...]) -> tuple[str, ...]:
        """`account`, then the orders and positions of each symbol."""
        return portal.topics_of(symbols)

    def push_url(self, url: str) -> str:
        """The portal has the same host as the REST interface, under ws(s)."""
        parts = urlsplit(url)
        return f"{'ws' if parts.scheme == 'http' else 'wss'}://{parts.netloc}{PUSH_PATH}"

    def signed_push_url(self, url: str, credentials: Credentials, now_ms: int) -> str:
        """Only the http address is signed; the ws address carries the result."""
        return sign.push_address(url + PUSH_PATH, self.push_url(url), *credentials, now_ms)

    def server_time_request(self, url: str) -> RestRequest:
        """`GET /v2/public/server-time`."""
        return rest.server_time(url)

    def server_time_ms(self, answer: bytes) -> int:
        """The `data` of the answer."""
        return rest.read_server_time_ms(answer)

    def push_session(self, topics: tuple[str, ...]) -> PushSession:
        """Hello, subscriptions, refusals, pings."""
        return portal.FMexSession(topics)

    final_statuses = orders.FINAL
    rest_requests_max = rest.REQUESTS_MAX
    rest_window_s = rest.REQUESTS_WINDOW_S
    classify = staticmethod(rest.classify)

    def liquidity(self, features: int | None, order_type: str | None) -> str:
        """By the flags of the order."""
        return orders.liquidity(features, order_type)

    def reconciliation(self, known: Known) -> Questions:
        """Balances, positions, open orders, closed orders back to the last one known, and executions."""
        return reconcile.questions(known)

    def snapshot(self) -> Questions:
        """Balances, positions, open orders."""
        return reconcile.snapshot()

    def contradictions(
        self, answers: Sequence[Answer], topics: Collection[str], passed: Passed
    ) -> tuple[Contradiction, ...]:
        """Field by field; `compare` says which."""
        return compare.contradictions(answers, topics, passed)

    accounting: Accounting = accounting.FMexAccounting()
    stand_in: StandIn = FMexStandIn()

    def decode_answer(self, target: str, payload: bytes) -> Decoded:
        """An answer to a question of `reconciliation` or `snapshot`."""
        return reconcile.decode_answer(target, payload)

    #: The functions themselves, because one more call per frame is measurable.
    decode_plain = staticmethod(decode.decode_plain)
    decode = staticmethod(decode.decode)
