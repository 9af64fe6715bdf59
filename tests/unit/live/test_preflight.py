"""Before anything is written: the exchange's clock, and plain requests."""

import socket
import traceback
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime

import pytest

from recorder.clock import NS_PER_MS, Clock
from recorder.errors import NotServed, Refused, Unavailable, Unreachable, VenueError
from recorder.live.http import ANSWER_BYTES_MAX, fetch
from recorder.live.preflight import check_clock
from recorder.venues.base import Credentials, RestRequest
from tests.unit.live.peer import PATIENCE_S, Peer, refuse
from tests.unit.live.stage import account_of

NOW_MS = int(datetime(2020, 2, 4, tzinfo=UTC).timestamp()) * 1000
CLOCK = Clock(wall_ns=lambda: NOW_MS * NS_PER_MS)
CREDENTIALS = Credentials("my-key-is-long", "my/secret+is=longer")

QUERY = "what-is-asked-for"

Answer = Callable[[bytes], bytes]


def server_time(ms: int) -> Answer:
    return refuse("200 OK", body=b'{"status":0,"data":%d}' % ms)


def check(answer: Answer, clock: Clock = CLOCK) -> None:
    with Peer(answer) as peer:
        check_clock(account_of(peer), clock, PATIENCE_S)
        assert peer.requests.get().startswith(b"GET /v2/public/server-time HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("server_ms", "words"),
    [
        (NOW_MS - 30_001, "30.0 s ahead of"),
        (NOW_MS + 30_001, "30.0 s behind"),
        (NOW_MS + 3_600_000, "3600.0 s behind"),
        (0, "1580774400.0 s ahead of"),
    ],
)
def test_a_clock_that_the_exchange_would_refuse(server_ms: int, words: str) -> None:
    with pytest.raises(Refused, match=f"This machine's clock is {words} the exchange's, which refuses more than 30 s"):
        check(server_time(server_ms))


@pytest.mark.parametrize(
    ("server_ms", "words"),
    [
        (NOW_MS - 30_000, "this machine's clock is 30.0 s ahead of the exchange's: set it"),
        (NOW_MS + 1_001, "this machine's clock is 1.0 s behind the exchange's: set it"),
        (NOW_MS - 1_000, ""),
        (NOW_MS, ""),
    ],
)
def test_a_clock_that_is_a_little_off_is_said(server_ms: int, words: str, caplog: pytest.LogCaptureFixture) -> None:
    check(server_time(server_ms))
    assert caplog.messages == ([f"main: {words} (NTP)"] if words else [])


def test_a_slow_answer_is_no_wrong_clock(caplog: pytest.LogCaptureFixture) -> None:
    """Asked at 0, answered at 4, come at 8 seconds."""
    times = iter([NOW_MS, NOW_MS + 8_000])
    check(server_time(NOW_MS + 4_000), Clock(wall_ns=lambda: next(times) * NS_PER_MS))
    assert caplog.messages == []


@pytest.mark.parametrize(
    "answer",
    [
        refuse("503 Service Unavailable"),
        refuse("429 Too Many Requests"),
        refuse("200 OK", body=b"not JSON"),
        refuse("200 OK", body=b'{"data":"soon"}'),
        refuse("200 OK"),
    ],
)
def test_a_clock_that_is_not_told_is_no_reason_to_stop(answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    check(answer)
    (said,) = caplog.messages
    assert said.startswith("main: the exchange's clock is not known (")


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (refuse("404 Not Found"), NotServed, "does not answer as this venue does: HTTP 404; check the address"),
        (refuse("302 Found", "Location: http://127.0.0.1:1/"), Unreachable, "HTTP 302"),
        (refuse("401 Unauthorized", body=b"no"), Refused, "HTTP 401 no; check key, secret and this clock"),
        (refuse("503 Unavailable", "Retry-After: 9"), Unavailable, "asks to be left alone for now"),
        (lambda _: b"garbage\r\n\r\n", Unreachable, "cannot be reached: its answer breaks off, or is none;"),
        (lambda _: b"", Unreachable, "cannot be reached: its answer breaks off, or is none;"),
        (
            lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
            Unreachable,
            "cannot be reached: its answer breaks off, or is none;",
        ),
    ],
)
def test_what_a_plain_request_may_meet(answer: Answer, error: type[VenueError], words: str) -> None:
    with Peer(answer) as peer, pytest.raises(error) as raised:
        fetch(RestRequest("GET", f"{peer.url}/x?a={QUERY}", {}), CREDENTIALS, PATIENCE_S)
    assert type(raised.value) is error
    assert words in str(raised.value)
    assert str(raised.value).startswith(f"{peer.url}/x ")
    assert QUERY not in "".join(traceback.format_exception(raised.value))


def test_an_answer_is_taken_whole_or_up_to_its_limit() -> None:
    for size in (0, 10, 100_000):
        with Peer(refuse("200 OK", body=b"x" * size)) as peer:
            assert fetch(RestRequest("GET", peer.url, {}), CREDENTIALS, PATIENCE_S) == b"x" * size
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (ANSWER_BYTES_MAX + 1)
    with Peer(lambda _: endless) as peer:
        assert len(fetch(RestRequest("GET", peer.url, {}), CREDENTIALS, PATIENCE_S)) == ANSWER_BYTES_MAX


def test_headers_are_sent() -> None:
    with Peer(refuse("200 OK")) as peer:
        fetch(RestRequest("GET", peer.url, {"FC-ACCESS-KEY": "k"}), CREDENTIALS, PATIENCE_S)
        assert b"\r\nFC-ACCESS-KEY: k\r\n" in peer.requests.get()


def test_nobody_listens() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(Unreachable, match=f"{url}/ cannot be reached: nothing answers there; check the address"):
        fetch(RestRequest("GET", f"{url}/", {}), CREDENTIALS, PATIENCE_S)


def test_an_unknown_host() -> None:
    with pytest.raises(Unreachable, match="cannot be reached: the host's name is not known"):
        fetch(RestRequest("GET", "http://no-such-host.invalid/", {}), CREDENTIALS, PATIENCE_S)


def test_no_answer_in_time() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as deaf, pytest.raises(Unreachable, match="no answer in time"):
        fetch(RestRequest("GET", f"http://127.0.0.1:{deaf.getsockname()[1]}/", {}), CREDENTIALS, 0.05)


@pytest.mark.parametrize("status", ["401 No", "404 No", "503 No"])
def test_nothing_secret_is_repeated(status: str) -> None:
    told = f"{CREDENTIALS.key} {CREDENTIALS.secret}"
    answer = refuse(f"{status} {told}", f"X-Told: {told}", body=b"y" * 195 + told.encode())
    with Peer(answer) as peer, pytest.raises(VenueError) as raised:
        fetch(RestRequest("GET", f"{peer.url}/x", {}), CREDENTIALS, PATIENCE_S)
    printed = "".join(traceback.format_exception(raised.value))
    for secret in CREDENTIALS:
        assert secret[:4] not in printed
