"""The proxy does what it is told, or the tests behind it test nothing."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from time import monotonic

import pytest

from tests.faults.proxy import Proxy

PATIENCE_S = 10.0


@contextmanager
def pair(proxy: Proxy, server: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection through the proxy: the client's end and the server's."""
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        accepted, _ = server.accept()
        with accepted:
            for one in (client, accepted):
                one.settimeout(PATIENCE_S)
            client.sendall(b"!")
            assert accepted.recv(1) == b"!", "the proxy is between them"
            yield client, accepted


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        yield server


@pytest.fixture
def proxy(server: socket.socket) -> Iterator[Proxy]:
    with Proxy(server.getsockname()[1]) as proxy:
        yield proxy


def read(sock: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size and (part := sock.recv(size - len(parts))):
        parts += part
    return parts


def test_it_passes_everything_on_both_ways_and_the_goodbye(proxy: Proxy, server: socket.socket) -> None:
    sent = bytes(range(256)) * 4_000
    with pair(proxy, server) as (client, accepted):
        for source, sink in ((client, accepted), (accepted, client)):
            sender = Thread(target=source.sendall, args=(sent,))
            sender.start()
            assert read(sink, len(sent)) == sent
            sender.join()
        client.shutdown(socket.SHUT_WR)
        assert accepted.recv(1) == b""
        accepted.sendall(b"still")
        assert read(client, 5) == b"still"
    assert proxy.accepted == 1


@pytest.mark.alone
def test_latency_is_at_least_what_was_asked_for(proxy: Proxy, server: socket.socket) -> None:
    with pair(proxy, server) as (client, accepted), proxy.latency(0.2):
        began_s = monotonic()
        client.sendall(b"x")
        assert accepted.recv(1) == b"x"
        assert monotonic() - began_s >= 0.2


@pytest.mark.alone
def test_bandwidth_is_at_most_what_was_asked_for(proxy: Proxy, server: socket.socket) -> None:
    with pair(proxy, server) as (client, accepted), proxy.bandwidth(20_000):
        began_s = monotonic()
        client.sendall(bytes(8_000))
        assert len(read(accepted, 8_000)) == 8_000
        assert 0.35 <= monotonic() - began_s < 10


def test_slices_are_small_and_whole(proxy: Proxy, server: socket.socket) -> None:
    sent = bytes(range(256))
    with pair(proxy, server) as (client, accepted), proxy.slicer(3), proxy.latency(0.002):
        client.sendall(sent)
        pieces = [accepted.recv(1_000)]
        while sum(map(len, pieces)) < len(sent):
            pieces.append(accepted.recv(1_000))
        assert b"".join(pieces) == sent
        assert len(pieces) > 20


def test_what_is_held_comes_afterwards(proxy: Proxy, server: socket.socket) -> None:
    with pair(proxy, server) as (client, accepted):
        with proxy.hold():
            client.sendall(b"late")
            accepted.settimeout(0.2)
            with pytest.raises(TimeoutError):
                accepted.recv(1)
        accepted.settimeout(PATIENCE_S)
        assert read(accepted, 4) == b"late"


def test_a_black_hole_swallows_and_ends_with_a_reset(proxy: Proxy, server: socket.socket) -> None:
    with pair(proxy, server) as (client, accepted):
        with proxy.blackhole(frozenset({"down"})):
            accepted.sendall(b"lost")
            client.sendall(b"kept")
            assert read(accepted, 4) == b"kept", "the other way is open"
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.recv(1)
            accepted.close()
            with pytest.raises(TimeoutError):
                client.recv(1)
        client.settimeout(PATIENCE_S)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_black_hole_that_swallowed_nothing_harms_nobody(proxy: Proxy, server: socket.socket) -> None:
    with pair(proxy, server) as (client, accepted):
        with proxy.blackhole():
            pass
        client.sendall(b"x")
        assert accepted.recv(1) == b"x"


def test_reset_and_cut(proxy: Proxy, server: socket.socket) -> None:
    with pair(proxy, server) as (client, accepted):
        assert proxy.reset() == 1
        for one in (client, accepted):
            with pytest.raises(ConnectionResetError):
                one.recv(1)
    with pair(proxy, server) as (client, accepted):
        assert proxy.cut() == 1
        assert client.recv(1) == b"" == accepted.recv(1)
    assert proxy.cut() == 0


def test_refused_connections_are_reset_and_those_there_live_on(proxy: Proxy, server: socket.socket) -> None:
    with pair(proxy, server) as (client, accepted), proxy.refusing():
        with socket.create_connection(("127.0.0.1", proxy.port)) as refused:
            refused.settimeout(PATIENCE_S)
            with pytest.raises(ConnectionResetError):
                refused.recv(1)
        client.sendall(b"x")
        assert accepted.recv(1) == b"x"


def test_only_the_reply_is_dropped(proxy: Proxy, server: socket.socket) -> None:
    with pair(proxy, server) as (client, accepted), proxy.dropping_reply():
        client.sendall(b"COMMIT")
        assert read(accepted, 6) == b"COMMIT"
        accepted.sendall(b"done")
        assert client.recv(4) == b""
