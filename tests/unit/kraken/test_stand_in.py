"""The exchange's side of Kraken: what it refuses."""

from itertools import count
from urllib.parse import urlencode

import msgspec
import pytest

from recorder.venues.kraken import answers, sign
from recorder.venues.kraken.stand_in.rest import COUNT_MAX, LOCKED_AFTER, LOCKED_MS, KrakenRequestHandler
from recorder.venues.stand_in import Backend, Request

KEY, SECRET = "a-key", "YS1zZWNyZXQ="
NOW_MS = 1_795_800_000_000
LOCKED = ["EGeneral:Temporary lockout"]


class Exchange:
    """A handler with a clock of its own, asked for what needs no account."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        self._nonces = count(1)
        self._handler = KrakenRequestHandler(Backend(secret_of={KEY: SECRET}.get, clock_ms=lambda: self.now_ms))

    def errors(self, nonce: str | None = None, *, key: str = KEY, secret: str = SECRET) -> list[str]:
        """What it says to a request."""
        number = str(next(self._nonces)) if nonce is None else nonce
        body = urlencode({"nonce": number}).encode()
        headers = {"API-Key": key, "API-Sign": sign.signature(secret, answers.KEY, number, body)}
        given = Request("POST", answers.KEY, headers, "http://127.0.0.1:9", body=body, peer="1.2.3.4")
        said = self._handler.handle(given)
        assert isinstance(said, bytes)
        found: list[str] = msgspec.json.decode(said)["error"]
        return found


@pytest.mark.parametrize("nonce", ["", "-1", "\u00b2", "9" * 5_000, "words"])
def test_a_nonce_that_is_no_number_is_refused(nonce: str) -> None:
    assert Exchange().errors(nonce) == ["EAPI:Invalid nonce"]


def test_a_key_that_is_refused_again_and_again_is_locked_out() -> None:
    exchange = Exchange()
    for _ in range(LOCKED_AFTER):
        assert exchange.errors(secret="d3Jvbmc=") == ["EAPI:Invalid signature"]
    # Whoever uses it; and each attempt prolongs it.
    assert exchange.errors() == LOCKED
    exchange.now_ms += LOCKED_MS - 1
    assert exchange.errors() == LOCKED
    exchange.now_ms += LOCKED_MS
    assert exchange.errors() == []


def test_a_request_that_is_answered_ends_the_row_of_refusals() -> None:
    exchange = Exchange()
    for _ in range(3):
        for _ in range(LOCKED_AFTER - 1):
            assert exchange.errors("0") == ["EAPI:Invalid nonce"]
        assert exchange.errors() == []


def test_requests_beyond_the_counter_lock_no_key_out() -> None:
    exchange = Exchange()
    assert [exchange.errors() for _ in range(COUNT_MAX)] == [[]] * COUNT_MAX
    for _ in range(2 * LOCKED_AFTER):
        assert exchange.errors() == ["EAPI:Rate limit exceeded"]
    exchange.now_ms += 2_000
    assert exchange.errors() == []


def test_a_key_that_does_not_exist_locks_nobody_out() -> None:
    exchange = Exchange()
    for _ in range(2 * LOCKED_AFTER):
        assert exchange.errors(key="another") == ["EAPI:Invalid key"]
    assert exchange.errors() == []
