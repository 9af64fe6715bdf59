"""The exchange's side of Kraken: what it refuses."""

from urllib.parse import urlencode

import msgspec
import pytest

from recorder.venues.kraken import answers, sign
from recorder.venues.kraken.stand_in.rest import KrakenRequestHandler
from recorder.venues.stand_in import Backend, Request

KEY, SECRET = "a-key", "YS1zZWNyZXQ="


@pytest.mark.parametrize("nonce", ["", "-1", "\u00b2", "9" * 5_000, "words"])
def test_a_nonce_that_is_no_number_is_refused(nonce: str) -> None:
    handler = KrakenRequestHandler(Backend(secret_of={KEY: SECRET}.get, clock_ms=lambda: 1_795_800_000_000))
    body = urlencode({"nonce": nonce}).encode()
    signature = sign.signature(SECRET, answers.KEY, nonce, body)
    headers = {"API-Key": KEY, "API-Sign": signature}
    given = Request("POST", answers.KEY, headers, "http://127.0.0.1:9", body=body, peer="1.2.3.4")
    refused = handler.handle(given)
    assert isinstance(refused, bytes)
    assert msgspec.json.decode(refused)["error"] == ["EAPI:Invalid nonce"]
