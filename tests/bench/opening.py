"""How a venue's connections begin, according to its stand-in: what a server can send to every client at once."""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

from recorder.live.settings import Account
from recorder.simulator.exchange import Exchange
from recorder.simulator.simulator import credentials_of
from recorder.venues import venue_named
from recorder.venues.base import Stream
from recorder.venues.reading import read_frame
from recorder.venues.rest import Token
from recorder.venues.stand_in import (
    AccountQuery,
    Backend,
    Conversation,
    PortalAccess,
    Reply,
    Request,
    RequestHandler,
    Said,
    Snapshot,
)
from recorder.venues.view import AccountView

URL = "http://127.0.0.1"


class Socket(NamedTuple):
    """The beginning of one connection."""

    #: Of the address.
    path: str
    #: What the exchange says until every topic is acknowledged.
    answers: tuple[bytes, ...]
    #: How many commands the client sends meanwhile.
    commands: int


class Opening(NamedTuple):
    """The beginning of an account's connections: pushes come on the first of its sockets."""

    sockets: tuple[Socket, ...]
    #: Path → the answer to the request for a token, which some venues need to connect; all else is refused.
    rest: dict[str, str]
    #: Topic and frame → the frames that a client is sent for a push on the first socket, such as with their number.
    pushed: Callable[[str, bytes], Iterable[bytes]]

    @property
    def path(self) -> str:
        """Of the first socket."""
        return self.sockets[0].path

    @property
    def answers(self) -> tuple[bytes, ...]:
        """Of the first socket."""
        return self.sockets[0].answers

    @property
    def told(self) -> int:
        """How many frames the exchange sends on all sockets before the pushes."""
        return sum(len(one.answers) for one in self.sockets)

    @property
    def commands(self) -> int:
        """How many commands the client sends on all sockets."""
        return sum(one.commands for one in self.sockets)


def account_at(venue_name: str, url: str) -> Account:
    """The account of a stand-in, as a recorder knows it."""
    venue = venue_named(venue_name)
    stand_in = venue.stand_in
    symbols = stand_in.default_symbols if venue.needs_symbols else ()
    credentials = credentials_of(venue_name, *stand_in.default_account)
    return Account(name="bench", venue=venue, url=url, credentials=credentials, symbols=symbols)


def opening_of(venue_name: str) -> Opening:
    """Let the venue's client talk to its stand-in until every topic is acknowledged."""
    account = account_at(venue_name, URL)
    stand_in = account.venue.stand_in
    key, secret = stand_in.default_account
    now_ms = time.time_ns() // 1_000_000
    backend = Backend(
        secret_of={key: secret}.get,
        clock_ms=lambda: now_ms,
        terms=stand_in.terms(stand_in.default_symbols),
    )
    handler = stand_in.request_handler(backend)
    rest: dict[str, str] = {}
    token = _token(account, handler, now_ms, rest)
    snapshots = Exchange(1, venue=venue_name, key=key).view()
    sockets = [_socket(account, one, token, backend, handler, snapshots) for one in account.streams]
    return Opening(tuple(socket for socket, _ in sockets), rest, partial(sockets[0][1].pushed, key))


def _token(account: Account, handler: RequestHandler, now_ms: int, rest: dict[str, str]) -> Token | None:
    """The token of a connection; what was answered is added to `rest`."""
    if account.venue.token is None:
        return None
    asking = account.venue.token(account.login)
    body = b""
    try:
        make = next(asking)
        while True:
            request = make(URL, account.login.credentials, now_ms)
            target = request.address.removeprefix(URL)
            answer = handler.handle(Request(request.method, target, request.headers, URL, request.body))
            assert not isinstance(answer, AccountQuery | PortalAccess)
            body = answer.body if isinstance(answer, Reply) else answer
            rest[urlsplit(target).path] = body.decode()
            make = asking.send(body)
    except StopIteration as ended:
        found: Token = ended.value
        return found


def _socket(
    account: Account,
    stream: Stream,
    token: Token | None,
    backend: Backend,
    handler: RequestHandler,
    snapshots: AccountView,
) -> tuple[Socket, Conversation]:
    venue, now_ms, now_s = account.venue, backend.clock_ms(), time.monotonic()
    session = venue.push_session(stream, account.login, token)
    address = urlsplit(venue.connection_url(stream, account.login, token, now_ms))
    target = f"{address.path}?{address.query}" if address.query else address.path
    access = handler.handle(Request("GET", target, {}, URL))
    assert isinstance(access, PortalAccess)
    conversation = venue.stand_in.conversation(access, backend, now_s)
    answers = list(_sent(conversation, conversation.open(now_ms, now_s), snapshots))
    commands = session.opening(now_ms)
    told = sent = 0
    while told < len(answers) or sent < len(commands):
        if sent < len(commands):
            said = conversation.receive(commands[sent].sent, now_ms, now_s)
            answers += _sent(conversation, said, snapshots)
            sent += 1
        else:
            control = read_frame(venue, answers[told]).control
            commands += [] if control is None else session.receive(control, now_ms)
            told += 1
    if not session.settled or session.refused:
        raise ValueError(f"the stand-in of {venue.name} did not acknowledge every topic: {session.refused}")
    return Socket(address.path, tuple(answers), len(commands)), conversation


def _sent(conversation: Conversation, said: Iterable[Said], snapshots: AccountView) -> Iterator[bytes]:
    """The frames that a client is sent, those of a snapshot as at the beginning of trading."""
    for one in said:
        if isinstance(one, bytes):
            yield one
        elif isinstance(one, Snapshot):
            for payload in snapshots.snapshot(one.topic, is_first=one.is_first):
                yield from conversation.pushed(one.key, one.topic, payload)
