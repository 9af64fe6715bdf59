"""How a connection of a venue begins, according to its stand-in: what a server can send to every client at once."""

import time
from typing import NamedTuple
from urllib.parse import urlsplit

from recorder.live.settings import Account
from recorder.simulator.simulator import credentials_of
from recorder.venues import venue_named
from recorder.venues.reading import read_frame
from recorder.venues.stand_in import Backend, PortalAccess


class Opening(NamedTuple):
    """The beginning of a connection."""

    #: Of the address.
    path: str
    #: What the exchange says until every topic is acknowledged.
    answers: tuple[bytes, ...]
    #: How many commands the client sends meanwhile.
    commands: int


def account_at(venue_name: str, url: str) -> Account:
    """The account of a stand-in, as a recorder knows it."""
    venue = venue_named(venue_name)
    stand_in = venue.stand_in
    symbols = stand_in.default_symbols if venue.needs_symbols else ()
    credentials = credentials_of(venue_name, *stand_in.default_account)
    return Account(name="bench", venue=venue, url=url, credentials=credentials, symbols=symbols)


def opening_of(venue_name: str) -> Opening:
    """Let the venue's client talk to its stand-in until every topic is acknowledged."""
    account = account_at(venue_name, "http://127.0.0.1")
    venue, stand_in = account.venue, account.venue.stand_in
    key, secret = stand_in.default_account
    (stream,) = account.streams
    now_ms, now_s = time.time_ns() // 1_000_000, time.monotonic()
    backend = Backend(secret_of={key: secret}.get, clock_ms=lambda: now_ms)
    session = venue.push_session(stream, account.login, None)
    path = urlsplit(venue.connection_url(stream, account.login, None, now_ms)).path
    conversation = stand_in.conversation(PortalAccess(key, {}, path), backend, now_s)
    answers = [one for one in conversation.open(now_ms, now_s) if isinstance(one, bytes)]
    commands = session.opening(now_ms)
    told = sent = 0
    while told < len(answers) or sent < len(commands):
        if sent < len(commands):
            said = conversation.receive(commands[sent].sent, now_ms, now_s)
            answers += [one for one in said if isinstance(one, bytes)]
            sent += 1
        else:
            control = read_frame(venue, answers[told]).control
            commands += [] if control is None else session.receive(control, now_ms)
            told += 1
    if not session.settled or session.refused:
        raise ValueError(f"the stand-in of {venue_name} did not acknowledge every topic: {session.refused}")
    return Opening(path, tuple(answers), len(commands))
