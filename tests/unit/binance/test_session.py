"""Signing, listen keys, addresses, and the course of a connection."""

import base64
from pathlib import Path
from urllib.parse import parse_qs, unquote

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from recorder.config import load
from recorder.errors import Refused, SessionOver
from recorder.model import Acknowledged, Notice, RefusedCommand
from recorder.venues.base import Stream
from recorder.venues.binance import Binance, portal, sign, words
from recorder.venues.binance.portal import TOPICS, BinanceSession
from recorder.venues.rest import Credentials, Login, MakeRequest, Token, Unrecorded
from tests.unit.binance.frames import read, sample

SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
WHO = Credentials(key="a-key", secret=SECRET)
NOW_MS = 1_795_800_000_000
URL, STREAM_URL = "https://fapi.binance.com", "wss://fstream.binance.com"


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


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def test_private_keys_sign_too() -> None:
    edwards, prime = ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)
    edwards.public_key().verify(base64.b64decode(sign.signature(pem(edwards), "a=1")), b"a=1")
    told = base64.b64decode(sign.signature(pem(prime), "a=1"))
    prime.public_key().verify(told, b"a=1", padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(ValueError, match="neither of Ed25519 nor of RSA"):
        sign.signature(pem(ec.generate_private_key(ec.SECP256R1())), "a=1")


@pytest.mark.parametrize("query", ["", "symbol=BTCUSDT&limit=1000"])
def test_the_signature_is_the_last_parameter_and_signs_all_others(query: str) -> None:
    end = sign.signed(SECRET, query, NOW_MS)
    assert end.startswith("&" if query else "?")
    text, _, signature = (query + end).lstrip("?").rpartition("&signature=")
    assert sign.signature(SECRET, text) == signature
    told = {name: int(values[0]) for name, values in parse_qs(end.lstrip("?&")).items() if name != "signature"}
    # Accepted by a clock that is 5 s behind, or 5 s ahead.
    for clock_ms in (NOW_MS - 4_999, NOW_MS + 5_000):
        assert clock_ms - told["recvWindow"] <= told["timestamp"] < clock_ms + 1_000


def test_a_signature_in_base64_is_escaped() -> None:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
    end = sign.signed(pem(key), "", NOW_MS)
    text, _, signature = end.lstrip("?").rpartition("&signature=")
    assert not {"+", "/", "="} & set(signature)
    key.public_key().verify(base64.b64decode(unquote(signature)), text.encode())


def login(environment: str = "") -> Login:
    return Login(URL, STREAM_URL, WHO, (), environment)


@pytest.mark.parametrize(
    ("environment", "path"),
    [("", "/fapi/v1/listenKey"), ("demo", "/fapi/v1/listenKey"), ("coin-m-testnet", "/dapi/v1/listenKey")],
)
def test_a_listen_key_needs_no_signature(environment: str, path: str) -> None:
    asking = portal.token(login(environment))
    request = next(asking)(URL, WHO, NOW_MS)
    assert (request.method, request.address, request.headers) == ("POST", URL + path, {"X-MBX-APIKEY": "a-key"})
    assert answered(asking, b'{"listenKey":"abc"}') == Token("abc", portal.RENEW_S)
    with pytest.raises(ValueError, match="no listen key"):
        answered(portal.token(login(environment)), b"{}", begin=True)


@pytest.mark.parametrize("body", [b"{}", b'{"listenKey":"abc"}'])
def test_a_listen_key_is_kept_alive(body: bytes) -> None:
    asking = portal.renew(login(), Token("abc", 1.0))
    assert next(asking)(URL, WHO, NOW_MS).method == "PUT"
    assert answered(asking, body) == Token("abc", 1.0)


def test_another_listen_key_means_that_this_one_is_dead() -> None:
    with pytest.raises(Refused, match="another listen key"):
        answered(portal.renew(login(), Token("abc", 1.0)), b'{"listenKey":"def"}', begin=True)


def answered(asking: Unrecorded[Token], body: bytes, *, begin: bool = False) -> Token:
    if begin:
        made: MakeRequest = next(asking)
        made(URL, WHO, NOW_MS)
    with pytest.raises(StopIteration) as done:
        asking.send(body)
    found: Token = done.value.value
    return found


def test_private_events_of_usd_m_are_on_a_path_of_their_own() -> None:
    (stream,) = Binance().streams(login())
    assert (stream.url, stream.topics) == ("wss://fstream.binance.com/private/ws", TOPICS[words.USD_M])
    address = Binance().connection_url(stream, login(), Token("abc", 1.0), NOW_MS)
    assert address == (
        "wss://fstream.binance.com/private/ws?listenKey=abc&events=ORDER_TRADE_UPDATE/ACCOUNT_UPDATE/ALGO_UPDATE/"
        "MARGIN_CALL/ACCOUNT_CONFIG_UPDATE/TRADE_LITE/STRATEGY_UPDATE/GRID_UPDATE/CONDITIONAL_ORDER_TRIGGER_REJECT/"
        "ALGO_ORDER_UPDATE/listenKeyExpired"
    )


def test_a_topic_that_is_left_out_is_not_asked_for() -> None:
    stream = Stream("wss://fstream.binance.com/private/ws", ("ORDER_TRADE_UPDATE",))
    assert portal.address(stream, Token("abc", 1.0)).endswith("&events=ORDER_TRADE_UPDATE/listenKeyExpired")


def test_coin_m_has_the_listen_key_in_the_path() -> None:
    (stream,) = Binance().streams(login("coin-m"))
    assert stream.topics == TOPICS[words.COIN_M]
    assert portal.address(stream, Token("abc", 1.0)) == "wss://fstream.binance.com/ws/abc"


@pytest.mark.parametrize(
    ("environment", "url", "socket"),
    [
        ("production", "https://fapi.binance.com", "wss://fstream.binance.com/private/ws"),
        ("demo", "https://demo-fapi.binance.com", "wss://demo-fstream.binance.com/private/ws"),
        ("coin-m", "https://dapi.binance.com", "wss://dstream.binance.com/ws"),
    ],
)
def test_a_configuration_names_the_product_by_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: str, url: str, socket: str
) -> None:
    monkeypatch.setenv("A_KEY", "k")
    (tmp_path / "recorder.toml").write_text(
        f'[accounts.main]\nvenue = "binance"\nenvironment = "{environment}"\nkey = "env:A_KEY"\nsecret = "env:A_KEY"\n'
    )
    (account,) = load(tmp_path / "recorder.toml").accounts
    assert (account.url, account.streams[0].url, account.login.environment) == (url, socket, environment)


def test_nothing_is_sent_and_everything_counts_as_pushed() -> None:
    it = BinanceSession(TOPICS[words.USD_M])
    assert not it.settled
    assert it.opening(NOW_MS) == []
    assert it.settled
    assert it.acknowledged == set(TOPICS[words.USD_M])
    assert it.heartbeat(NOW_MS) is None


def test_a_listen_key_that_expired_ends_the_session() -> None:
    it = BinanceSession(TOPICS[words.USD_M])
    it.opening(NOW_MS)
    control = read(sample("listenKeyExpired")).control
    assert control is not None
    with pytest.raises(SessionOver, match="token: the listen key has expired"):
        it.receive(control, NOW_MS)


def test_other_words_change_nothing() -> None:
    it = BinanceSession(TOPICS[words.USD_M])
    it.opening(NOW_MS)
    for control in (Notice("anything"), Acknowledged((), "1"), RefusedCommand("1", 2, "Invalid request")):
        assert it.receive(control, NOW_MS) == []
    assert it.settled
    assert not it.refused
