"""A TCP proxy between a recorder and its exchange (or its database), with what can go wrong on the way.

Toxics are context managers: wrong within, well again after. A stream never has a hole: where bytes were swallowed, the
connection is reset when the toxic ends, as a real network would in the end.
"""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from threading import Condition, Thread
from time import monotonic
from types import TracebackType
from typing import Any, Literal, Self

#: From the server to the client, and from the client to the server.
Direction = Literal["down", "up"]
BOTH: frozenset[Direction] = frozenset({"down", "up"})

CHUNK_BYTES = 65_536
#: With this, closing a socket answers with a reset in place of a goodbye.
_LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass
class _Toxics:
    """What is wrong just now."""

    latency_s: float = 0.0
    bytes_per_s: float = 0.0
    slice_bytes_max: int = 0
    held: frozenset[Direction] = frozenset()
    swallowed: frozenset[Direction] = frozenset()
    refusing: bool = False
    dropping_reply_to: bytes | None = None


@dataclass(eq=False)
class _Link:
    """One connection: its two sockets, and what became of it."""

    client: socket.socket
    server: socket.socket
    over: bool = False
    #: Directions in which bytes, or a goodbye, have been swallowed. Nothing behind them may arrive, also in the moment
    #: between the end of the toxic and the reset.
    holed: set[Direction] = field(default_factory=set)
    #: The request has come whose reply is to be lost.
    asked: bool = False
    #: Directions that have said goodbye.
    ended: set[Direction] = field(default_factory=set)

    def reset(self) -> None:
        self.over = True
        for one in (self.client, self.server):
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            with suppress(OSError):
                one.shutdown(socket.SHUT_RD)  # wakes the pump that reads it, and sends nothing
            one.close()

    def cut(self) -> None:
        self.over = True
        for one in (self.client, self.server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


class Proxy:
    """A proxy on a port of its own, as a context manager.

    Args:
        port: of the server, on this machine.
        seed: of the sizes of slices.
    """

    def __init__(self, port: int, seed: int = 1) -> None:
        self._to = port
        self._random = Random(seed)
        self._toxics = _Toxics()
        self._changed = Condition()
        self._links: list[_Link] = []
        self._threads: list[Thread] = []
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        #: Connections there have been.
        self.accepted = 0

    @property
    def url(self) -> str:
        """The http address of a server behind it."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    # Toxics.

    def latency(self, seconds: float) -> Any:
        """Every piece takes so long, both ways."""
        return self._with(latency_s=seconds)

    def bandwidth(self, bytes_per_s: float) -> Any:
        """No more than so many bytes a second, each way."""
        return self._with(bytes_per_s=bytes_per_s)

    def slicer(self, bytes_max: int) -> Any:
        """Bytes arrive in pieces of 1 to so many."""
        return self._with(slice_bytes_max=bytes_max)

    def hold(self, directions: frozenset[Direction] = BOTH) -> Any:
        """Nothing arrives, and all of it afterwards: a link that is interrupted and comes back."""
        return self._with(held=directions)

    def refusing(self) -> Any:
        """New connections are reset at once; those there are live on."""
        return self._with(refusing=True)

    @contextmanager
    def blackhole(self, directions: frozenset[Direction] = BOTH) -> Iterator[None]:
        """What is sent vanishes, a goodbye too: each side believes that the other is there. Both ways, or half-open."""
        with self._with(swallowed=directions):
            yield
        for link in self._open_links():
            if link.holed:
                link.reset()

    @contextmanager
    def dropping_reply(self, to: bytes = b"") -> Iterator[None]:
        """Requests arrive; the reply does not, but the end of the connection: was it done, or was it not?

        Args:
            to: bytes of the requests whose reply is meant; by default of any.
        """
        with self._with(dropping_reply_to=to):
            yield

    def reset(self) -> int:
        """Reset all connections; returns how many."""
        links = self._open_links()
        for link in links:
            link.reset()
        return len(links)

    def cut(self) -> int:
        """End all connections with a TCP goodbye; what is on the way is lost. Returns how many."""
        links = self._open_links()
        for link in links:
            link.cut()
        return len(links)

    # Within.

    @contextmanager
    def _with(self, **toxics: Any) -> Iterator[None]:
        before = {name: getattr(self._toxics, name) for name in toxics}
        self._set(toxics)
        try:
            yield
        finally:
            self._set(before)

    def _set(self, toxics: dict[str, Any]) -> None:
        with self._changed:
            for name, value in toxics.items():
                setattr(self._toxics, name, value)
            self._changed.notify_all()

    def _open_links(self) -> list[_Link]:
        with self._changed:
            return [link for link in self._links if not link.over]

    def _start(self, work: Any, *arguments: Any) -> None:
        thread = Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                if self._toxics.refusing:
                    raise ConnectionRefusedError
                server = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
                client.close()
                continue
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link(client, server)
            with self._changed:
                self._links.append(link)
            if self._closing:
                link.reset()
            self._start(self._pump, link, server, client, "down")
            self._start(self._pump, link, client, server, "up")

    def _pump(self, link: _Link, source: socket.socket, sink: socket.socket, direction: Direction) -> None:
        try:
            while not link.over:
                chunk = source.recv(CHUNK_BYTES)
                self._wait_while_held(link, direction)
                if direction in self._toxics.swallowed or direction in link.holed:
                    link.holed.add(direction)
                    if not chunk:
                        return  # its other side never hears of it; the end of the toxic resets the link
                    continue
                if direction == "up" and (lost := self._toxics.dropping_reply_to) is not None and lost in chunk:
                    link.asked = True
                if chunk and direction == "down" and link.asked:
                    link.cut()
                    return
                if not chunk:
                    break
                self._deliver(link, sink, chunk)
            self._goodbye(link, sink, direction)
        except OSError:
            # One side is gone: the other hears of it, but where its goodbye is swallowed.
            if direction in self._toxics.swallowed:
                link.holed.add(direction)
            elif not link.over:
                link.reset()

    def _wait_while_held(self, link: _Link, direction: Direction) -> None:
        with self._changed:
            self._changed.wait_for(lambda: link.over or self._closing or direction not in self._toxics.held)

    def _deliver(self, link: _Link, sink: socket.socket, chunk: bytes) -> None:
        at = 0
        while at < len(chunk) and not link.over:
            size, slice_max, rate = len(chunk) - at, self._toxics.slice_bytes_max, self._toxics.bytes_per_s
            if slice_max:
                size = min(size, self._random.randint(1, slice_max))
            if rate:
                size = min(size, max(1, int(rate / 20)))
            self._pause(link, self._toxics.latency_s + (size / rate if rate else 0.0))
            sink.sendall(chunk[at : at + size])
            at += size

    def _pause(self, link: _Link, seconds: float) -> None:
        if seconds > 0:
            until_s = monotonic() + seconds
            with self._changed:
                while not link.over and not self._closing and (left_s := until_s - monotonic()) > 0:
                    self._changed.wait(left_s)

    def _goodbye(self, link: _Link, sink: socket.socket, direction: Direction) -> None:
        if link.over:
            return
        link.ended.add(direction)
        if len(link.ended) == len(BOTH):
            link.cut()
        else:
            sink.shutdown(socket.SHUT_WR)
