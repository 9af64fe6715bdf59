"""HTTP requests over urllib3, with time limits, and texts of answers that are safe to show.

One connection for each account, kept open.
"""

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from recorder.errors import Refused, Unavailable, Unreachable, VenueError
from recorder.live.pace import Address
from recorder.venues.base import Venue
from recorder.venues.reading import printable
from recorder.venues.rest import Credentials, RestRequest, Verdict

#: No exchange sends a larger answer.
ANSWER_BYTES_MAX = 8 * 2**20
#: Foreign text in a message is cut to this many characters.
FOREIGN_CHARS_MAX = 200
OK = 200
#: The most read at a time.
_CHUNK_BYTES = 65_536
_MASK = "***"
#: A socket that came too late to be cut off is cut off this much later, seconds.
_CUT_AGAIN_S = 0.1


class HttpAnswer(NamedTuple):
    """An HTTP answer of any status."""

    status: int
    #: Their names in lower case.
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Sends the requests of one account, one after the other.

    The proxies of the environment (`http_proxy`, `https_proxy`, `no_proxy`) are used.

    Args:
        url: the exchange's address, without a path.
        timeout_s: for connecting, and for each read.
        answer_s: for a whole answer, from the connection to its last byte.
        monotonic_s: the clock that measures it, seconds.
        headers: of every request; those of the request itself come before them.
        address: what its requests share with those of other accounts; None: nothing.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float,
        answer_s: float,
        monotonic_s: Callable[[], float] = time.monotonic,
        headers: Mapping[str, str] | None = None,
        address: Address | None = None,
    ) -> None:
        self.address = address or Address()
        self._headers = dict(headers or {})
        self._answer_s = answer_s
        self._monotonic_s = monotonic_s
        #: The one that is open, or being opened.
        self._connection: HTTPConnection | None = None
        self._pool = _pool(url, timeout_s, self._connects)
        #: Whether the connection was used before: the exchange may have closed it meanwhile.
        self._may_be_stale = False

    def ask_later(self, wait_s: float) -> None:
        """Note that the exchange wants no request for this long, seconds. A longer wait noted before still counts."""
        self.address.ask_later(self._monotonic_s() + wait_s)

    @property
    def wait_s(self) -> float:
        """How long the exchange still wants no request, seconds."""
        return self.address.wait_s(self._monotonic_s())

    def fetch(self, request: RestRequest) -> HttpAnswer:
        """Send one request.

        Raises:
            Unreachable: there is no complete answer; one sentence says why and what to do.
        """
        shown = request.url.partition("?")[0]
        until_s = self._monotonic_s() + self._answer_s
        with cut_off(self._answer_s, self._socket) as is_late:
            try:
                answer = self._fetch(request, shown, until_s, is_late)
            except Unreachable:
                if not is_late.is_set():
                    raise
        if is_late.is_set():  # headers that are cut off look like shorter ones
            self.close()
            raise Unreachable(f"{shown} did not answer within {self._answer_s:g} s; check the network.")
        return answer

    def _fetch(self, request: RestRequest, shown: str, until_s: float, is_late: Event) -> HttpAnswer:
        try:
            answer = self._send(request, is_late)
            try:
                body = self._read(answer, until_s, shown)
            except BaseException:
                answer.close()  # its rest must not be taken for the next answer
                raise
            answer.release_conn()
            self._may_be_stale = True
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(
                f"{shown} cannot be reached: {cause(error)}; check the address, the network and the proxy."
            ) from None
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return HttpAnswer(answer.status, headers, body)

    def _connects(self, connection: HTTPConnection) -> None:
        self._connection = connection

    def _socket(self) -> socket.socket | None:
        return None if self._connection is None else self._connection.sock

    def _send(self, request: RestRequest, is_late: Event) -> urllib3.BaseHTTPResponse:
        """Send a request; once more if the connection turns out to have been closed. Every request only reads."""
        while True:
            try:
                return self._pool.request(
                    request.method,
                    request.address,
                    headers={**self._headers, **request.headers},
                    body=request.body or None,
                    redirect=False,
                    preload_content=False,
                )
            except urllib3.exceptions.ProtocolError:
                if is_late.is_set() or not self._may_be_stale:
                    raise
                self._may_be_stale = False

    def close(self) -> None:
        """Close the connection."""
        self._pool.clear()

    def _read(self, answer: urllib3.BaseHTTPResponse, until_s: float, shown: str) -> bytes:
        parts: list[bytes] = []
        size = 0
        while part := answer.read1(_CHUNK_BYTES):
            parts.append(part)
            size += len(part)
            if size > ANSWER_BYTES_MAX:
                raise Unreachable(
                    f"{shown} answers with more than {ANSWER_BYTES_MAX // 2**20} MiB, which the exchange never does; "
                    "check the address and the proxy."
                )
            if self._monotonic_s() > until_s:
                raise Unreachable(
                    f"{shown} did not answer within {self._answer_s:g} s ({size} bytes came); check the network."
                )
        return b"".join(parts)


@contextmanager
def cut_off(after_s: float, used: Callable[[], socket.socket | None]) -> Iterator[Event]:
    """Limit what waits on a socket as a whole, where only each of its reads has a limit.

    Args:
        after_s: nothing is read from the socket any more after so many seconds, if the block has not ended by then.
        used: the socket; None: there is none yet.

    Yields:
        An event that is set when the time is over.
    """
    is_late, is_done = Event(), Event()

    def watch() -> None:
        wait_s = after_s
        while not is_done.wait(wait_s):
            is_late.set()
            wait_s = _CUT_AGAIN_S
            with suppress(OSError):
                now = used()
                if now is not None:
                    # Below TLS, which another thread uses. Reading ends; what is still written has its own limit.
                    socket.socket.shutdown(now, socket.SHUT_RD)

    watcher = Thread(target=watch, name="time limit", daemon=True)
    watcher.start()
    try:
        yield is_late
    finally:
        is_done.set()
        watcher.join()


def _pool(url: str, timeout_s: float, connects: Callable[[HTTPConnection], None]) -> urllib3.PoolManager:
    """What sends requests, over one connection.

    Args:
        url: the exchange's address.
        timeout_s: of each step.
        connects: called with a connection before it is opened.
    """

    class Plain(HTTPConnection):
        def connect(self) -> None:
            connects(self)
            super().connect()

    class Tls(HTTPSConnection):
        def connect(self) -> None:
            connects(self)
            super().connect()

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Tls

    pool = _manager(url, timeout_s)
    pool.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
    return pool


def _manager(url: str, timeout_s: float) -> urllib3.PoolManager:
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if not proxy or proxy_bypass(parts.netloc):
        return urllib3.PoolManager(num_pools=1, maxsize=1, retries=False, timeout=timeout_s)
    place = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    login = f"{unquote(place.username)}:{unquote(place.password or '')}" if place.username else None
    headers = urllib3.make_headers(proxy_basic_auth=login) if login else None
    address = f"{place.scheme}://{place.netloc.rpartition('@')[2]}"
    return urllib3.ProxyManager(
        address, proxy_headers=headers, num_pools=1, maxsize=1, retries=False, timeout=timeout_s
    )


def venue_error(venue: Venue, url: str, answer: HttpAnswer, secrets: tuple[str, ...], now_ms: int) -> VenueError:
    """The error for an HTTP answer without a result, with one sentence for the user, and how long it asks to wait.

    Args:
        venue: the venue that gave it.
        url: the address without its query.
        answer: the answer.
        secrets: to mask in what it says.
        now_ms: milliseconds since 1970.
    """
    said = answer_text(answer, secrets)
    verdict = venue.classify(answer.status, answer.body)
    asked_s = venue.wait_s(answer.status, answer.headers, answer.body, now_ms)
    wait_s = max(_retry_after_s(answer.headers.get("retry-after", "")), asked_s)
    if verdict is Verdict.REFUSED:
        words = f"{url} refused the key, its signature or the time: {said}; check key, secret and this clock."
        return Refused(words, retry_after_s=wait_s)
    if verdict is Verdict.WAIT:
        return Unavailable(f"{url} asks to be left alone for now: {said}.", retry_after_s=wait_s)
    if verdict is Verdict.TRANSIENT:
        return Unavailable(f"{url} cannot answer now: {said}.", retry_after_s=wait_s)
    words = f"{url} does not answer as this venue does: {said}; check the address."
    return Unreachable(words, retry_after_s=wait_s)


def answer_text(answer: HttpAnswer, secrets: tuple[str, ...]) -> str:
    """Status and body of an answer, safe to show."""
    return f"HTTP {answer.status} {presentable(answer.body.decode('utf-8', 'replace'), secrets)}".strip()


def _retry_after_s(header: str) -> float:
    """The seconds of a `Retry-After` header (RFC 9110, section 10.2.3); 0 if it is anything else, such as a date."""
    text = header.strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0


#: Headers that every client sends, in lower case: no secret is in them.
_PLAIN_HEADERS = frozenset(["accept", "content-type", "user-agent"])


def secrets_of(credentials: Credentials, request: RestRequest) -> tuple[str, ...]:
    """What must not be shown or stored of a request: the credentials, and signatures in its headers and its address."""
    given = [*request.headers.items(), *parse_qsl(request.signed.lstrip("?&"))]
    signed = (value for name, value in given if name.lower() not in _PLAIN_HEADERS and not value.isdigit())
    return (*credentials.secrets, *signed)


def presentable(text: str, secrets: tuple[str, ...]) -> str:
    """Foreign text made safe to show in a message: one line, cut to a maximum length, without secrets.

    Args:
        text: the foreign text.
        secrets: to mask, also as they are spelled in an address or in JSON.
    """
    # Masked before the text is cut, or a part of a secret would stay.
    return " ".join(printable(without_secrets(text, secrets)).split())[:FOREIGN_CHARS_MAX]


def without_secrets(text: str, secrets: tuple[str, ...]) -> str:
    """A text with its secrets masked, also as they are spelled in an address or in JSON."""
    for secret in _spellings(secrets):
        text = text.replace(secret, _MASK)
    return text


def masked(body: bytes, secrets: tuple[str, ...]) -> tuple[bytes, bool]:
    """A body with its secrets masked, and whether there were any."""
    found = body
    for secret in _spellings(secrets):
        found = found.replace(secret.encode(), _MASK.encode())
    return found, found != body


def _spellings(secrets: tuple[str, ...]) -> list[str]:
    spelled = {
        spelling
        for secret in secrets
        for spelling in (secret, quote(secret), quote(secret, safe=""), quote_plus(secret), secret.replace("/", "\\/"))
    }
    # The longest first: one secret may be a part of another.
    return sorted(spelled - {""}, key=len, reverse=True)


#: What a failure means, the most specific first.
_CAUSES: tuple[tuple[type[Exception], str], ...] = (
    (urllib3.exceptions.NameResolutionError, "the host name is not known"),
    (urllib3.exceptions.ProxyError, "the proxy of the environment refuses it"),
    (urllib3.exceptions.NewConnectionError, "nothing answers there"),
    (urllib3.exceptions.TimeoutError, "no answer in time"),
    (urllib3.exceptions.SSLError, "its certificate cannot be trusted"),
    (urllib3.exceptions.ProtocolError, "its answer is cut off or not HTTP"),
)


def cause(error: urllib3.exceptions.HTTPError) -> str:
    """Why there is no answer, in words."""
    if "WRONG_VERSION_NUMBER" in str(error):
        return "there is no TLS at this address (it may begin with http)"
    return next((words for kind, words in _CAUSES if isinstance(error, kind)), type(error).__name__)
