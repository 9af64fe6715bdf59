"""Signing with each kind of key, and the course of a connection."""

import json
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from recorder.errors import ConfigurationError, Refused, SessionOver
from recorder.model import Acknowledged, Control, Notice, RefusedCommand
from recorder.venues.binance_spot import portal, sign
from recorder.venues.binance_spot.decode import SHUTDOWN, TERMINATED
from recorder.venues.binance_spot.portal import TOPICS, BinanceSpotSession
from recorder.venues.rest import Credentials, Login
from tests.unit.binance_spot.frames import VENUE, read, sample

KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
NOW_MS = 1764300000000


@pytest.mark.parametrize(
    ("secret", "text", "signature"),
    [
        (
            "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9",
            "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000"
            "&timestamp=1591702613943",
            "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9",
        ),
        (
            SECRET,
            f"apiKey={KEY}&price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL&symbol=BTCUSDT&timeInForce=GTC"
            "&timestamp=1645423376532&type=LIMIT",
            "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24",
        ),
        (
            SECRET,
            f"apiKey={KEY}&timestamp=1764300000000",
            "6146e75e5df31d9d85ab695404b7cd7156b99725a6ddbe6853f81c61e042478b",
        ),
        (
            SECRET,
            "timestamp=1764300000000&symbol=BTCUSDT&fromId=100&limit=1000&recvWindow=5000",
            "50768cca2c0d4a038ede76d125d7f4362afa19ea6452242c199b6ecbfd53048a",
        ),
        (
            SECRET,
            "timestamp=1764300000000&recvWindow=5000",
            "f697906f9357b802ba7ac2804d4098551a0901455293b18ec9b52f7d664920df",
        ),
    ],
)
def test_the_known_answers(secret: str, text: str, signature: str) -> None:
    assert sign.signature(secret, text) == signature


def pem(key: Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_private_keys_sign_in_base64() -> None:
    """Their signatures are what the exchange verifies with the public key."""
    from base64 import b64decode

    modern, old = Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)
    text = "timestamp=1764300000000"
    modern.public_key().verify(b64decode(sign.signature(pem(modern), text)), text.encode())
    signature = b64decode(sign.signature(f"\n{pem(old)}", text))
    old.public_key().verify(signature, text.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert sign.is_ed25519(pem(modern))
    assert not sign.is_ed25519(pem(old)) and not sign.is_ed25519(SECRET)
    # In an address the signature is percent-encoded.
    assert "/" not in sign.signed(pem(modern), "", NOW_MS) and "=" not in sign.signed(pem(modern), "", 1)[-10:]


@pytest.mark.parametrize("secret", ["-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n", "-----BEGIN"])
def test_a_private_key_that_is_none_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a private key") as raised:
        sign.signature(secret, "x")
    assert "MC4C" not in str(raised.value)


def test_other_kinds_of_private_keys_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="of another kind than Ed25519 and RSA"):
        sign.signature(pem(ec.generate_private_key(ec.SECP256R1())), "x")


def test_what_signs_a_request_stands_last() -> None:
    signed = sign.signed(SECRET, "symbol=BTCUSDT&limit=1000", NOW_MS)
    text = "symbol=BTCUSDT&limit=1000&recvWindow=5000&timestamp=1764299999000"
    assert signed == f"&recvWindow=5000&timestamp=1764299999000&signature={sign.signature(SECRET, text)}"
    assert sign.signed(SECRET, "", NOW_MS).startswith("?recvWindow=5000&timestamp=1764299999000&signature=")


@pytest.mark.parametrize("server_ms", [NOW_MS - 1_999, NOW_MS + 2_000])
def test_requests_and_commands_are_accepted_by_a_clock_that_is_two_seconds_off(server_ms: int) -> None:
    assert VENUE.clock_tolerance_ms == 2_000
    asked = parse_qs(sign.signed(SECRET, "", NOW_MS).lstrip("?"))
    commanded = sign.parameters(KEY, SECRET, NOW_MS)
    for at, window in (
        (asked["timestamp"][0], asked["recvWindow"][0]),
        (commanded["timestamp"], commanded["recvWindow"]),
    ):
        assert server_ms - int(str(window)) <= int(str(at)) < server_ms + 1_000


def session() -> BinanceSpotSession:
    return BinanceSpotSession(TOPICS, Credentials(key=KEY, secret=SECRET))


def test_one_signed_command_subscribes_and_is_recorded_without_secrets() -> None:
    (command,) = session().opening(NOW_MS)
    sent, recorded = json.loads(command.sent), json.loads(command.recorded)
    assert (sent["id"], sent["method"]) == ("subscribe", "userDataStream.subscribe.signature")
    text = f"apiKey={KEY}&recvWindow=5000&timestamp=1764299999000"
    assert sent["params"] == {
        "apiKey": KEY,
        "recvWindow": 5000,
        "timestamp": NOW_MS - 1_000,
        "signature": sign.signature(SECRET, text),
    }
    assert recorded["params"] == {"apiKey": "***", "recvWindow": 5000, "timestamp": NOW_MS - 1_000, "signature": "***"}
    assert {name: recorded[name] for name in ("id", "method")} == {name: sent[name] for name in ("id", "method")}


def told(it: BinanceSpotSession, control: Control | None) -> None:
    assert control is not None
    assert it.receive(control, NOW_MS) == []


def test_its_acknowledgement_is_of_every_event() -> None:
    it = session()
    told(it, Acknowledged((), "another"))
    told(it, read(b'{"id":"x","status":200,"result":[]}').control)
    assert it.missing() == list(TOPICS)
    told(it, read(sample("subscribed")).control)
    assert it.settled and it.acknowledged == set(TOPICS)


@pytest.mark.parametrize("name", ["refused", "revoked"])
@pytest.mark.parametrize("is_late", [False, True])
def test_a_refusal_says_what_to_check(name: str, is_late: bool) -> None:
    it = session()
    if is_late:
        told(it, read(sample("subscribed")).control)
    control = read(sample(name)).control
    assert isinstance(control, RefusedCommand)
    with pytest.raises(Refused, match="check key and secret, whether they are of this environment") as raised:
        it.receive(control, NOW_MS)
    assert f"({control.code} {control.message})" in str(raised.value)


@pytest.mark.parametrize("code", sorted(portal.TRANSIENT))
def test_a_refusal_that_says_nothing_of_the_key_ends_the_connection(code: int) -> None:
    with pytest.raises(SessionOver, match="not subscribed: -1"):
        session().receive(RefusedCommand("subscribe", code, "busy"), NOW_MS)


@pytest.mark.parametrize("code", [-1003, -1022, -2015])
def test_a_heartbeat_that_is_refused_is_none(code: int) -> None:
    told(session(), RefusedCommand("time-4", code, "no"))


def test_the_end_of_the_subscription_is_the_end_of_the_session() -> None:
    it = session()
    told(it, read(sample("subscribed")).control)
    with pytest.raises(SessionOver, match="eventStreamTerminated") as raised:
        it.receive(Notice(TERMINATED), NOW_MS)
    assert raised.value.reason == "closed"
    # A shutdown is announced: the next connection is opened before this one ends.
    told(it, Notice(SHUTDOWN, reconnect=True))


def test_the_heartbeat_asks_for_the_clock() -> None:
    it = session()
    assert [json.loads(it.heartbeat(NOW_MS).sent) for _ in range(2)] == [
        {"id": "time-1", "method": "time"},
        {"id": "time-2", "method": "time"},
    ]


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ("production", "wss://ws-api.binance.com:443/ws-api/v3"),
        ("testnet", "wss://ws-api.testnet.binance.vision/ws-api/v3"),
        ("demo", "wss://demo-ws-api.binance.com/ws-api/v3"),
    ],
)
def test_there_is_one_socket(environment: str, address: str) -> None:
    own = VENUE.environments[environment]
    login = Login(own.url, own.stream_url, Credentials(key=KEY, secret=SECRET), ("BTCUSDT",))
    (stream,) = VENUE.streams(login)
    assert (stream.url, stream.topics, stream.name) == (address, TOPICS, "")
    assert VENUE.push_session(stream, login, None).topics == TOPICS
