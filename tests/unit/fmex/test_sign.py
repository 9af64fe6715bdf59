"""Signing, against the known answer of the exchange's page."""

from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from recorder.venues.fmex import sign
from recorder.venues.rest import Credentials
from tests.samples import portal, signed_portal

SECRET = "ebfaeef06e2e49e1bc7e535c2766bbe6"
PORTAL = "https://api.fmex.com/v2/user/ws"


def test_the_known_answer_of_the_page() -> None:
    # In another order than the exchange's: the body is sorted by name before it is signed.
    body = {
        "type": "limit",
        "direction": "short",
        "source": "WEB",
        "quantity": "100",
        "symbol": "btcusd_p",
        "price": "5500",
    }
    url = "https://api.testnet.fmex.com/v3/contracts/orders"
    assert sign.signature(SECRET, "POST", url, 1571109222426, body) == "g6vFomL3T3pOhCugUNo/UcaLxTw="


def test_the_push_portal_signs_exactly_this_text() -> None:
    # HMAC-SHA1 of base64 of `GEThttps://api.fmex.com/v2/user/ws1579154149629`, by openssl:
    #   printf %s 'GEThttps://api.fmex.com/v2/user/ws1579154149629' | base64 -w0 |
    #   openssl dgst -sha1 -hmac ebfaeef06e2e49e1bc7e535c2766bbe6 -binary | base64
    expected = "4DCuq2I5gp1i8jIhov7JbN9GeVM="
    assert sign.signature(SECRET, "GET", PORTAL, 1579154149629) == expected
    address = signed_portal("https://api.fmex.com", Credentials(key="key", secret=SECRET), 1579154149629)
    assert parse_qs(urlsplit(address).query)[sign.SIGNATURE] == [expected]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://api.fmex.com", "wss://api.fmex.com/v2/user/ws"),
        ("https://api.testnet.fmex.com", "wss://api.testnet.fmex.com/v2/user/ws"),
        ("http://127.0.0.1:9010", "ws://127.0.0.1:9010/v2/user/ws"),
    ],
)
def test_the_push_address_follows_from_the_rest_address(url: str, address: str) -> None:
    assert portal(url) == address
    assert signed_portal(url, Credentials(key="key", secret=SECRET), 0).startswith(f"{address}?")


def test_the_push_address_is_percent_encoded() -> None:
    # This clock gives a signature with `+`, `/` and `=`, which all mean something else in a query.
    address = sign.push_address(PORTAL, "wss://api.fmex.com/v2/user/ws", "a&b=c d", SECRET, 1579154149645)
    query = urlsplit(address).query
    assert "SIGNATURE=kGX2R1X0q3m%2F%2Bfq9qVp%2BqklD6Kc%3D" in query
    assert parse_qsl(query) == [
        ("FC-ACCESS-KEY", "a&b=c d"),
        ("FC-ACCESS-TIMESTAMP", "1579154149645"),
        ("FC-ACCESS-SIGNATURE", sign.signature(SECRET, "GET", PORTAL, 1579154149645)),
    ]


def test_credentials_never_show_themselves() -> None:
    credentials = Credentials(key="my-key", secret=SECRET)
    for text in (str(credentials), repr(credentials), f"{credentials}", str([credentials])):
        assert SECRET not in text
        assert "my-key" not in text
