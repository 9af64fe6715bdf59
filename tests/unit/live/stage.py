"""A collector with an exchange that a test plays itself, and what it hands over."""

import json
from collections.abc import Callable, Iterable
from threading import Event
from types import TracebackType
from typing import Any, Self

from recorder.clock import Clock
from recorder.live.channel import Channel, Recorded
from recorder.live.collector import Collector
from recorder.live.settings import Account, Limits
from recorder.model import SENT
from recorder.store.entries import LogEntry
from recorder.venues.fmex import FMex
from recorder.venues.rest import Credentials
from tests.made import RUN
from tests.unit.live.peer import PATIENCE_S, Line, Peer, frame

HELLO = b'{"type":"hello","ts":1}'
TOPICS = ["account", "order.btcusd_p", "position.btcusd_p"]
COVERED = json.dumps({"type": "topics", "topics": TOPICS}).encode()
ORDER = b'{"type":"order.btcusd_p","ts":1,"order":{"id":1,"quantity":1}}'

#: Waits that a test can afford.
QUICK = Limits(connect_s=PATIENCE_S, reconnect_first_s=0.01, reconnect_last_s=0.02, reconcile_settle_s=0.001)


def pushes(count: int, start: int = 0) -> list[bytes]:
    """Order updates, each its own."""
    return [b'{"type":"order.btcusd_p","ts":1,"order":{"id":%d}}' % number for number in range(start, start + count)]


def received(items: Iterable[Recorded | LogEntry]) -> list[bytes]:
    """The payloads of what was received, in order."""
    frames = [item.frame for item in items if isinstance(item, Recorded)]
    return [one.payload for one in frames if one.source != SENT]


def account_of(peer: Peer, venue: FMex | None = None, symbols: tuple[str, ...] = ("btcusd_p",)) -> Account:
    """An account at this exchange."""
    return Account(
        name="main",
        venue=venue or Venue(),
        url=peer.url,
        credentials=Credentials(key="key", secret="secret"),
        symbols=symbols,
    )


class Venue(FMex):
    """FMex with other habits.

    Args:
        heartbeat_s: seconds between two heartbeats.
    """

    def __init__(self, heartbeat_s: float = 1000.0) -> None:
        self.heartbeat_s = heartbeat_s


class Stage:
    """One account's collector; nothing is taken from its channel but when the test waits for something."""

    def __init__(
        self,
        peer: Peer,
        *,
        limits: Limits = QUICK,
        venue: FMex | None = None,
        clock: Clock | None = None,
        symbols: tuple[str, ...] = ("btcusd_p",),
        account: Account | None = None,
    ) -> None:
        self.peer = peer
        self.ready = Event()
        self.ended = Event()
        self.channel = Channel(self.ready, limits.queue_frames_max, limits.queue_bytes_max)
        self.account = account or account_of(peer, venue, symbols)
        self.collector = Collector(
            self.account, self.account.streams[0], RUN, self.channel, clock or Clock(), limits, self.ended.set
        )
        #: Everything taken so far.
        self.items: list[Recorded | LogEntry] = []

    def __enter__(self) -> Self:
        self.collector.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it, wait for its end, and take the rest."""
        self.collector.stop()
        self.collector.join(PATIENCE_S)
        assert not self.collector.is_alive()
        self.take()

    def take(self) -> None:
        """Take what is there just now."""
        self.items += self.channel.take(2**40, 2**40)

    def wait(self, done: Callable[[], bool]) -> None:
        """Take what comes until it is so."""
        self.take()
        while not done():
            assert self.ready.wait(PATIENCE_S), self.items
            self.ready.clear()
            self.take()

    def wait_entry(self, kind: type[Any], count: int = 1) -> Any:
        """Wait for an entry of the event log of this kind: the first, or the `count`-th."""
        self.wait(lambda: len(self.entries(kind)) >= count)
        return self.entries(kind)[count - 1]

    def wait_payload(self, payload: bytes) -> None:
        """Wait until a frame with this payload has been handed over."""
        self.wait(lambda: payload in self.received())

    def entries(self, kind: type[Any]) -> list[Any]:
        """The entries of the event log of this kind."""
        return [item for item in self.items if isinstance(item, kind)]

    def frames(self, source: str | None = None) -> list[Recorded]:
        """The frames, all or of one source."""
        frames = [item for item in self.items if isinstance(item, Recorded)]
        return [recorded for recorded in frames if source is None or recorded.frame.source == source]

    def received(self) -> list[bytes]:
        """What was received, in order."""
        return received(self.items)

    def subscribed(self) -> Line:
        """The next connection, greeted, all its topics asked for and acknowledged."""
        line = self.greeted()
        line.send(frame(COVERED))
        return line

    def greeted(self) -> Line:
        """The next connection, greeted, all its topics asked for."""
        line = self.peer.line()
        line.send(frame(HELLO))
        asked = json.loads(line.receive_text())
        while asked["cmd"] == "ping":  # on a busy machine, a heartbeat may be due before the greeting is read
            asked = json.loads(line.receive_text())
        assert (asked["cmd"], asked["args"]) == ("sub", list(self.collector.stream.topics))
        return line
