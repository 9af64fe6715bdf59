"""The handshake: what an exchange may answer, what it means for the run, and that nothing secret is ever repeated."""

import json
import socket
import threading
import traceback
from collections.abc import Callable
from contextlib import closing
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from recorder.clock import Clock
from recorder.errors import Refused, SessionOver, Unavailable, Unreachable, VenueError
from recorder.live import transport as transport_module
from recorder.live.http import presentable
from recorder.live.transport import Transport, connect
from recorder.live.wake import Wake
from recorder.venues.rest import Credentials
from tests.samples import FMEX, portal, signed_portal
from tests.unit.live.peer import CLOSE, PATIENCE_S, Peer, accept, frame, refuse, trickling

CREDENTIALS = Credentials(key="key/of+mine=1", secret="my/secret+of=mine&more")
#: A clock whose signature has all of `+`, `/` and `=` in it.
NOW_MS = 1579154149643

Answer = Callable[[bytes], bytes]


def signed(url: str) -> str:
    return signed_portal(url, CREDENTIALS, NOW_MS)


def signature(url: str) -> str:
    (found,) = parse_qs(urlsplit(signed(url)).query)["FC-ACCESS-SIGNATURE"]
    return found


def open_(url: str, wake: Wake, connect_s: float = PATIENCE_S) -> Transport:
    return connect(signed(url), portal(url), CREDENTIALS.secrets, FMEX, wake, Clock(), connect_s, 1000)


def fails(answer: Answer, wake: Wake) -> VenueError:
    with Peer(answer) as peer, pytest.raises(VenueError) as raised:
        open_(peer.url, wake)
    assert str(raised.value).startswith(f"ws://127.0.0.1:{peer.port}/v2/user/ws ")
    assert "\n" not in str(raised.value)
    return raised.value


def test_the_signed_address_is_asked_for_and_no_origin_is_told(peer: Peer, wake: Wake) -> None:
    transport = open_(peer.url, wake)
    request = peer.line().request.decode()
    transport.close()
    assert request.startswith(f"GET /v2/user/ws?{urlsplit(signed(peer.url)).query} HTTP/1.1\r\n")
    assert "origin" not in request.lower()


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_a_refusal_has_the_words_of_the_exchange(wake: Wake, status: str) -> None:
    error = fails(refuse(status, body=b'{"status":401,\r\n"msg":"api key check fail"}'), wake)
    assert type(error) is Refused
    assert f'HTTP {status[:3]} {{"status":401, "msg":"api key check fail"}}; check key, secret' in str(error)


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (("Retry-After: 17",), 17.0),
        (("retry-after:  120 ",), 120.0),
        ((), 0.0),
        (("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT",), 0.0),
        (("Retry-After: 99999999999999",), 0.0),
        (("Retry-After: -5",), 0.0),
        (("Retry-After: ²",), 0.0),
        (("Retry-After: nan",), 0.0),
    ],
)
def test_an_exchange_that_asks_to_be_left_alone(
    wake: Wake, status: str, header: tuple[str, ...], seconds: float
) -> None:
    error = fails(refuse(status, *header), wake)
    assert type(error) is Unavailable
    assert error.retry_after_s == seconds


@pytest.mark.parametrize(
    "first", [b"", b"HTTP/1.1 101 Switching\r\nX-Slow: ", b"HTTP/1.1 503 Busy\r\nContent-Length: 9999999\r\n\r\n"]
)
def test_a_handshake_that_trickles_is_cut_off(wake: Wake, first: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "CONNECT_STEPS", 0.3 / PATIENCE_S)
    with trickling(first) as address, pytest.raises(Unreachable, match=r"did not answer within 0\.3 s"):
        open_(f"http://{address}", wake)


@pytest.mark.parametrize("status", ["500 Internal Server Error", "502 Bad Gateway", "521 Web Server Is Down"])
def test_an_exchange_that_is_away(wake: Wake, status: str) -> None:
    error = fails(refuse(status, body=b"<html></html>"), wake)
    assert type(error) is Unavailable
    assert "cannot answer now: HTTP 5" in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(refuse("404 Not Found", body=b"<html>\n<h1>Not Found</h1>\n</html>"), id="a page"),
        pytest.param(refuse("200 OK", body=b"hello"), id="200"),
        pytest.param(refuse("302 Found", "Location: http://127.0.0.1:1/elsewhere"), id="302"),
        pytest.param(refuse("301 Moved"), id="301 to nowhere"),
        pytest.param(refuse("404 Not Found", body=b"\xff\xfe not text"), id="404, not text"),
        pytest.param(lambda request: b"", id="nothing"),
        pytest.param(lambda request: b"garbage\r\n\r\n", id="garbage"),
        pytest.param(lambda request: b"\x15\x03\x01\x00\x02\x02\x16", id="TLS"),
        pytest.param(lambda request: b"HTTP/1.1 101\xff\xff\r\n\r\n", id="101, not ASCII"),
        pytest.param(lambda request: b"HTTP/1.1 101 Switching Protocols\r\n\r\n", id="101 without headers"),
        pytest.param(lambda request: accept(request).replace(b"Accept: ", b"Accept: x"), id="a wrong key"),
        pytest.param(
            lambda request: accept(request).replace(b"Upgrade: websocket", b"Upgrade: h2c"), id="a wrong protocol"
        ),
        pytest.param(
            lambda request: accept(request).replace(b"\r\n\r\n", b"\r\nSet-Cookie: a,b=1\r\n\r\n"),
            id="a cookie without a name",
        ),
        pytest.param(lambda request: accept(request)[:40], id="cut off"),
        pytest.param(
            lambda request: b"HTTP/1.1 401 Unauthorized\r\nContent-Length: many\r\n\r\n",
            id="a length that is no number",
        ),
    ],
)
def test_an_answer_that_is_not_this_venues(wake: Wake, answer: Answer) -> None:
    assert type(fails(answer, wake)) is Unreachable


def test_a_redirect_is_not_followed(peer: Peer, wake: Wake) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        address = f"ws://127.0.0.1:{other.getsockname()[1]}/v2/user/ws"
        fails(refuse("302 Found", f"Location: {address}"), wake)
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()


def test_nobody_listens(wake: Wake) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unreachable, match="cannot be reached: Connection refused; check the address and the network"):
        open_(f"http://127.0.0.1:{port}", wake)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".invalid", "a..b"])
def test_an_unknown_host(wake: Wake, host: str) -> None:
    with pytest.raises(Unreachable) as raised:
        open_(f"http://{host}", wake)
    assert f"ws://{host}/v2/user/ws cannot be reached: " in str(raised.value)
    if host.startswith("no-such"):
        assert "the host name is not known; check the address" in str(raised.value)


@pytest.mark.alone
def test_an_exchange_that_does_not_answer(wake: Wake) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        began_s = Clock().monotonic_s()
        with pytest.raises(Unreachable, match="timed out"):
            open_(url, wake, connect_s=0.1)
        assert Clock().monotonic_s() - began_s < PATIENCE_S


def test_tls_where_there_is_none(peer: Peer, wake: Wake) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as plain:
        url = f"https://127.0.0.1:{plain.getsockname()[1]}"
        plain.settimeout(PATIENCE_S)

        def speak() -> None:
            connection, _ = plain.accept()
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.recv(65_536)
            connection.close()

        speaker = threading.Thread(target=speak)
        speaker.start()
        with pytest.raises(Unreachable, match=r"cannot be trusted: .*; check the address and the clock"):
            open_(url, wake)
        speaker.join()


def _echoes() -> dict[str, Answer]:
    """Answers that repeat what they were asked: the whole request, as it came and decoded, wherever there is room."""

    def asked(request: bytes) -> str:
        return request.split(b" ")[1].decode()

    def values(request: bytes) -> str:
        query = parse_qs(urlsplit(asked(request)).query)
        return " ".join(value for (value,) in query.values()) + " " + CREDENTIALS["secret"]

    def everything(request: bytes) -> str:
        told = values(request)
        return f"{asked(request)} {told} {json.dumps(told)} {quote(told)} {quote(told, safe='')}" + told.replace(
            "/", "\\/"
        )

    return {
        **{
            f"{status[:3]} {where}": answer
            for status in ("401 Unauthorized", "404 Not Found", "429 Too Many", "503 Unavailable", "302 Found")
            for where, answer in {
                "body": lambda r, s=status: refuse(s, body=everything(r).encode())(r),
                "body, cut in the middle": lambda r, s=status: refuse(s, body=b"x" * 190 + values(r).encode())(r),
                "header": lambda r, s=status: refuse(s, f"X-Asked: {everything(r)}", f"Location: ws://x{asked(r)}")(r),
                "status line": lambda r, s=status: refuse(f"{s} {everything(r)}")(r),
                "bad length": lambda r, s=status: refuse(s)(r).replace(b"Length: 0", b"Length: " + values(r).encode()),
            }.items()
        },
        "no status line": lambda r: everything(r).encode() + b"\r\n\r\n",
        "no number in the status line": lambda r: b"HTTP/1.1 " + values(r).encode() + b"\r\n\r\n",
        "not UTF-8": lambda r: b"HTTP/1.1 401 \xff" + values(r).encode() + b"\r\n\r\n",
        "a header without a colon": lambda r: (
            b"HTTP/1.1 401 No\r\n" + values(r).replace(":", "").encode() + b"\r\n\r\n"
        ),
        "a cookie": lambda r: accept(r).replace(
            b"\r\n\r\n", b"\r\nSet-Cookie: " + CREDENTIALS["secret"].encode() + b"\r\n\r\n"
        ),
    }


@pytest.mark.parametrize("name", _echoes())
def test_nothing_secret_is_repeated(wake: Wake, name: str) -> None:
    with Peer(_echoes()[name]) as peer:
        with pytest.raises(VenueError) as raised:
            open_(peer.url, wake)
        assert_clean(peer.url, raised.value)


def test_nothing_secret_is_repeated_of_a_goodbye(peer: Peer, wake: Wake) -> None:
    transport = open_(peer.url, wake)
    told = f"{CREDENTIALS['key']} {CREDENTIALS['secret']} {signature(peer.url)}"
    peer.line().send(frame(b"\x03\xf0" + told.encode(), CLOSE))
    with pytest.raises(SessionOver) as raised:
        transport.receive(Clock().monotonic_s() + PATIENCE_S)
    transport.close()
    assert raised.value.detail == "1008 *** *** ***"
    assert_clean(peer.url, raised.value)


def assert_clean(url: str, error: BaseException) -> None:
    """Nothing secret is in an error or in anything that a traceback would print of it."""
    printed = "".join(traceback.format_exception(error))
    for text in (str(error), repr(error), printed, repr(vars(error))):
        for secret in (*CREDENTIALS.secrets, signature(url)):
            for spelling in (secret, quote(secret), quote(secret, safe=""), secret.replace("/", "\\/")):
                assert spelling not in text
                # Nor the beginning of one that was cut.
                assert spelling[:8] not in text


@pytest.mark.parametrize(
    "spelled", ["a/b+c=d e", "a/b%2Bc%3Dd%20e", "a%2Fb%2Bc%3Dd%20e", "a%2Fb%2Bc%3Dd+e", "a\\/b+c=d e"]
)
def test_a_secret_is_found_in_each_of_its_spellings(spelled: str) -> None:
    assert presentable(f"told {spelled} by you", ("a/b+c=d e",)) == "told *** by you"


def test_a_secret_that_is_a_part_of_another_uncovers_nothing() -> None:
    assert presentable("abc abcdef def", ("abc", "abcdef", "")) == "*** *** def"


def test_words_are_one_short_line() -> None:
    assert presentable("a\0b\x1b[2Jc\ud800d\x9be", ()) == "a b [2Jc d e"
    assert presentable(" a\r\n\tb \n", ()) == "a b"
    assert len(presentable("x" * 10_000, ())) == 200
