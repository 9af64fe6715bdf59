"""Plain requests to an exchange: what they may meet, their limits, and that nothing secret is repeated."""

import socket
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from threading import Thread

import pytest

from recorder.errors import Refused, Unavailable, Unreachable, VenueError
from recorder.live.http import ANSWER_BYTES_MAX, HttpAnswer, HttpClient, masked, secrets_of, venue_error
from recorder.venues.rest import Credentials, RestRequest, Verdict, target_of
from tests.samples import FMEX
from tests.unit.live.peer import PATIENCE_S, Peer, refuse, trickling

CREDENTIALS = Credentials(key="my-key-is-long", secret="my/secret+is=longer")

QUERY = "what-is-asked-for"

Answer = Callable[[bytes], bytes]


def get(url: str, headers: dict[str, str] | None = None, *, timeout_s: float = PATIENCE_S) -> HttpAnswer:
    client = HttpClient(url, timeout_s, PATIENCE_S)
    try:
        return client.fetch(RestRequest("GET", url, headers or {}))
    finally:
        client.close()


def refused(answer: Answer) -> VenueError:
    """What a request for a page of FMex leads to."""
    with Peer(answer) as peer, pytest.raises(VenueError) as raised:
        request = RestRequest("GET", f"{peer.url}/x?a={QUERY}", {})
        got = get(request.url)
        assert FMEX.classify(got.status, got.body) is not Verdict.ANSWER
        raise venue_error(FMEX, f"{peer.url}/x", got, secrets_of(CREDENTIALS, request), 0)
    assert str(raised.value).startswith(f"{peer.url}/x ")
    assert QUERY not in "".join(traceback.format_exception(raised.value))
    return raised.value


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (refuse("404 Not Found"), Unreachable, "does not answer as this venue does: HTTP 404; check the address"),
        (refuse("302 Found", "Location: http://127.0.0.1:1/"), Unreachable, "HTTP 302"),
        (refuse("401 Unauthorized", body=b"no"), Refused, "HTTP 401 no; check key, secret and this clock"),
        (refuse("503 Unavailable", "Retry-After: 9"), Unavailable, "asks to be left alone for now"),
        (lambda _: b"garbage\r\n\r\n", Unreachable, "cannot be reached: its answer is cut off or not HTTP;"),
        (lambda _: b"", Unreachable, "cannot be reached: its answer is cut off or not HTTP;"),
        (
            lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
            Unreachable,
            "cannot be reached: its answer is cut off or not HTTP;",
        ),
    ],
)
def test_what_a_plain_request_may_meet(answer: Answer, error: type[VenueError], words: str) -> None:
    raised = refused(answer)
    assert type(raised) is error
    assert words in str(raised)


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_answer_that_trickles_is_cut_off(first: bytes) -> None:
    with trickling(first) as address:
        client = HttpClient(f"http://{address}", PATIENCE_S, 0.3)
        with pytest.raises(Unreachable, match=r"/x did not answer within 0\.3 s"):
            client.fetch(RestRequest("GET", f"http://{address}/x", {}))
        client.close()


def test_a_proxy_that_trickles_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    with trickling(b"HTTP/1.1 200 OK\r\nX-Slow: ") as address:
        monkeypatch.setenv("https_proxy", f"http://{address}")
        client = HttpClient("https://exchange.example", PATIENCE_S, 0.3)
        with pytest.raises(Unreachable, match=r"did not answer within 0\.3 s"):
            client.fetch(RestRequest("GET", "https://exchange.example/x", {}))
        client.close()


def test_what_signs_an_address_is_sent_and_never_shown() -> None:
    with Peer(refuse("400 Bad Request", body=b"the signature c2ln+now= of 1764300000000 is wrong")) as peer:
        url = f"{peer.url}/x?a={QUERY}"
        request = RestRequest("GET", url, {}, signed="&timestamp=1764300000000&signature=c2ln%2Bnow%3D")
        client = HttpClient(peer.url, PATIENCE_S, PATIENCE_S)
        got = client.fetch(request)
        client.close()
        asked = peer.requests.get(timeout=PATIENCE_S)
    assert f"GET /x?a={QUERY}&timestamp=1764300000000&signature=c2ln%2Bnow%3D HTTP".encode() in asked
    assert target_of(request, peer.url) == f"/x?a={QUERY}"
    stored, is_masked = masked(got.body, secrets_of(CREDENTIALS, request))
    assert is_masked and stored == b"the signature *** of 1764300000000 is wrong"


def test_an_answer_is_taken_whole_or_not_at_all() -> None:
    for size in (0, 10, 100_000):
        with Peer(refuse("200 OK", body=b"x" * size)) as peer:
            assert get(peer.url).body == b"x" * size
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (ANSWER_BYTES_MAX + 1)
    with Peer(lambda _: endless) as peer, pytest.raises(Unreachable, match="answers with more than 8 MiB"):
        get(peer.url)


def test_an_answer_that_trickles_in_has_a_time_limit() -> None:
    """Each byte is in time, the whole is not."""
    clock = iter([0.0, 1.0, 2.0, 2.9, 3.1])
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        client = HttpClient(url, PATIENCE_S, 3.0, lambda: next(clock))

        def trickle() -> None:
            connection = server.accept()[0]
            with closing(connection):
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                for _ in range(20):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return
                    time.sleep(0.05)

        thread = Thread(target=trickle)
        thread.start()
        with pytest.raises(Unreachable, match="did not answer within 3 s"):
            client.fetch(RestRequest("GET", f"{url}/", {}))
        thread.join()
        client.close()


def test_headers_are_sent() -> None:
    with Peer(refuse("200 OK")) as peer:
        get(peer.url, {"FC-ACCESS-KEY": "k"})
        assert b"\r\nFC-ACCESS-KEY: k\r\n" in peer.requests.get()


@pytest.mark.parametrize("closes_again", [False, True])
def test_a_connection_that_was_closed_meanwhile_is_replaced_once(closes_again: bool) -> None:
    """The exchange takes the second request and closes the connection, as for one that was idle for too long."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    #: What each connection answers to its requests, before it is closed.
    lines = [[answer, b""], [b"" if closes_again else answer]]

    def serve() -> None:
        for answers in lines:
            connection, _ = listener.accept()
            with closing(connection):
                for one in answers:
                    assert connection.recv(65_536)
                    connection.sendall(one)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with closing(HttpClient(url, PATIENCE_S, PATIENCE_S)) as client:
            request = RestRequest("GET", f"{url}/x", {})
            assert client.fetch(request).body == b"ok"
            if closes_again:
                with pytest.raises(Unreachable):
                    client.fetch(request)
            else:
                assert client.fetch(request).body == b"ok"


def test_one_connection_serves_many_requests() -> None:
    accepted = 0
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"

        def serve() -> None:
            nonlocal accepted
            while True:
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                accepted += 1
                with closing(connection):
                    while connection.recv(4096):
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

        thread = Thread(target=serve, daemon=True)
        thread.start()
        client = HttpClient(url, PATIENCE_S, PATIENCE_S)
        assert [client.fetch(RestRequest("GET", f"{url}/{n}", {})).body for n in range(3)] == [b"hi"] * 3
        client.close()
        server.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE_S)
    assert accepted == 1


@pytest.mark.parametrize("login", ["", "user:pass%40word@"])
def test_the_proxy_of_the_environment_is_used(login: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Peer(refuse("200 OK", body=b"through")) as proxy:
        monkeypatch.setenv("http_proxy", f"http://{login}127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        assert get("http://exchange.invalid/x").body == b"through"
        request = proxy.requests.get()
        assert request.startswith(b"GET http://exchange.invalid/x HTTP/1.1\r\n")
        assert (b"Basic dXNlcjpwYXNzQHdvcmQ=" in request) == bool(login)
        monkeypatch.setenv("no_proxy", "exchange.invalid")
        with pytest.raises(Unreachable, match="the host name is not known"):
            get("http://exchange.invalid/x")


def test_nobody_listens() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(Unreachable, match=f"{url}/ cannot be reached: nothing answers there; check the address"):
        get(f"{url}/")


def test_an_unknown_host() -> None:
    with pytest.raises(Unreachable, match="cannot be reached: the host name is not known"):
        get("http://no-such-host.invalid/")


def test_no_answer_in_time() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as deaf, pytest.raises(Unreachable, match="no answer in time"):
        get(f"http://127.0.0.1:{deaf.getsockname()[1]}/", timeout_s=0.05)


@pytest.mark.parametrize("status", ["401 No", "404 No", "503 No"])
def test_nothing_secret_is_repeated(status: str) -> None:
    told = f"{CREDENTIALS['key']} {CREDENTIALS['secret']}"
    answer = refuse(f"{status} {told}", f"X-Told: {told}", body=b"y" * 195 + told.encode())
    printed = "".join(traceback.format_exception(refused(answer)))
    for secret in CREDENTIALS.secrets:
        assert secret[:4] not in printed


def test_secrets_are_masked_in_what_is_stored() -> None:
    request = RestRequest("GET", "http://x/", {"FC-ACCESS-SIGNATURE": "c2lnbmF0dXJl", "FC-ACCESS-TIMESTAMP": "1580802"})
    secrets = secrets_of(CREDENTIALS, request)
    body = b'{"key":"my-key-is-long","secret":"my\\/secret+is=longer","got":"c2lnbmF0dXJl","at":1580802}'
    assert masked(body, secrets) == (b'{"key":"***","secret":"***","got":"***","at":1580802}', True)
    assert masked(b"not found", secrets) == (b"not found", False)


def test_headers_of_every_request_stand_beside_its_own() -> None:
    seen: list[bytes] = []

    def answer(request: bytes) -> bytes:
        seen.append(request.lower())
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

    headers = {"X-Where": "demo", "X-Own": "no"}
    with Peer(answer) as peer, closing(HttpClient(peer.url, PATIENCE_S, PATIENCE_S, headers=headers)) as client:
        client.fetch(RestRequest("GET", f"{peer.url}/x", {"X-Own": "yes"}))
    assert b"x-where: demo\r\n" in seen[0] and b"x-own: yes\r\n" in seen[0] and b"x-own: no" not in seen[0]
