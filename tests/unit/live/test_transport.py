"""Frames of every shape, from a peer that sends them byte by byte."""

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from websocket._abnf import frame_buffer

from recorder.clock import Clock
from recorder.errors import SessionOver
from recorder.live.transport import Message, Transport, Waited, connect
from recorder.live.wake import Wake
from tests.samples import FMEX
from tests.unit.live.peer import BINARY, CLOSE, CONT, PATIENCE_S, PING, PONG, TEXT, Line, Peer, frame, head

LIMIT = 1000
CLOCK = Clock()


class Pair(NamedTuple):
    """The two ends of one connection."""

    transport: Transport
    line: Line

    def receive(self) -> bytes:
        """The next message, which comes."""
        return self.transport.receive(CLOCK.monotonic_s() + PATIENCE_S).payload

    def over(self, reason: str) -> SessionOver:
        """The connection's end, which comes, with this reason."""
        with pytest.raises(SessionOver) as raised:
            self.receive()
        assert raised.value.reason == reason
        return raised.value

    def nothing(self) -> None:
        """No message comes by a deadline that has passed."""
        with pytest.raises(Waited):
            self.transport.receive(CLOCK.monotonic_s())


@contextmanager
def connected(peer: Peer, wake: Wake, clock: Clock = CLOCK, limit: int = LIMIT) -> Iterator[Pair]:
    address = f"ws://127.0.0.1:{peer.port}/"
    transport = connect(address, address, (), FMEX, wake, clock, PATIENCE_S, limit)
    try:
        yield Pair(transport, peer.line())
    finally:
        transport.close()


@pytest.fixture
def pair(peer: Peer, wake: Wake) -> Iterator[Pair]:
    with connected(peer, wake) as pair:
        yield pair


def test_a_whole_text_frame(pair: Pair) -> None:
    pair.line.send(frame(b'{"type":"hello"}'))
    assert pair.receive() == b'{"type":"hello"}'


def test_many_frames_in_one_piece_and_none_twice(pair: Pair) -> None:
    payloads = [b"%d " % number + b"x" * (number % 400) for number in range(300)]
    pair.line.send(*[frame(payload) for payload in payloads])
    assert [pair.receive() for _ in payloads] == payloads
    pair.nothing()


def test_whole_texts_do_not_pass_through_the_slower_parser(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[object] = []
    parse = frame_buffer.recv_frame

    def note(buffer: frame_buffer) -> object:
        parsed.append(buffer)
        return parse(buffer)

    monkeypatch.setattr(frame_buffer, "recv_frame", note)
    payloads = [b"x" * (10 + number) for number in range(300)]
    pair.line.send(*map(frame, payloads))
    assert [pair.receive() for _ in payloads] == payloads
    assert len(parsed) < 20, "only those that were not complete in the buffer when their turn came"


def test_a_frame_byte_by_byte(pair: Pair) -> None:
    for size in (0, 5, 200):
        payload = bytes(number % 256 for number in range(size))
        wire = frame(payload)
        for byte in wire[:-1]:
            pair.line.send(bytes([byte]))
            pair.nothing()
        pair.line.send(wire[-1:])
        assert pair.receive() == payload


def test_frames_in_pieces_of_any_size(pair: Pair) -> None:
    dice = random.Random(1)
    payloads = [dice.randbytes(dice.choice((0, 1, 125, 126, 127, 999, 1000))) for _ in range(200)]
    wire = b"".join(map(frame, payloads))

    def send() -> None:
        at = 0
        while at < len(wire):
            size = dice.randint(1, 700)
            pair.line.send(wire[at : at + size])
            at += size

    sender = threading.Thread(target=send)
    sender.start()
    assert [pair.receive() for _ in payloads] == payloads
    sender.join()


def test_a_frame_of_many_chunks(peer: Peer, wake: Wake) -> None:
    payload = random.Random(2).randbytes(1_000_000)
    with connected(peer, wake, limit=len(payload)) as pair:
        sender = threading.Thread(target=pair.line.send, args=(frame(payload), frame(b"after")))
        sender.start()
        assert pair.receive() == payload
        assert pair.receive() == b"after"
        sender.join()


def test_fragments_with_a_ping_between_them(pair: Pair) -> None:
    pair.line.send(
        frame(b"one ", TEXT, fin=False),
        frame(b"are you there", PING),
        frame(b"two ", CONT, fin=False),
        frame(b"", PONG),
    )
    pair.nothing()
    pair.line.send(frame(b"", CONT, fin=False), frame(b"three", CONT), frame(b"the next"))
    whole = pair.receive()
    assert whole == b"one two three"
    assert type(whole) is bytes
    assert pair.receive() == b"the next"
    assert pair.line.receive() == (PONG, b"are you there")


def test_an_empty_first_fragment(pair: Pair) -> None:
    pair.line.send(frame(b"", TEXT, fin=False), frame(b"all", CONT), frame(b"", TEXT, fin=False), frame(b"", CONT))
    assert pair.receive() == b"all"
    assert pair.receive() == b""


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("payload", [b"", b"\0", b"\xff\xfe not UTF-8 \xc3", b"\xed\xa0\x80", bytes(range(256))])
def test_every_byte_is_kept(pair: Pair, opcode: int, payload: bytes) -> None:
    half = len(payload) // 2
    pair.line.send(
        frame(payload, opcode), frame(payload[:half], opcode, fin=False), frame(payload[half:], CONT), frame(b"good")
    )
    assert [pair.receive() for _ in range(3)] == [payload, payload, b"good"]


def test_a_masked_frame(pair: Pair) -> None:
    pair.line.send(frame(b"a server must not, but some do", mask=b"\x01\x80\xff\x00"), frame(b"", mask=b"1234"))
    received = pair.transport.receive(CLOCK.monotonic_s() + PATIENCE_S)
    assert received.payload == b"a server must not, but some do"
    assert type(received.payload) is bytes
    assert pair.receive() == b""


def test_a_frame_at_the_limit_and_one_above_it(pair: Pair) -> None:
    pair.line.send(frame(b"x" * LIMIT), frame(b"y" * (LIMIT + 1)), frame(b"good"))
    assert pair.receive() == b"x" * LIMIT
    # All of it has come with the first: it is too large even so.
    assert "1001 bytes" in pair.over("frame too large").detail


@pytest.mark.parametrize("size", [LIMIT + 1, 100_000_000, 2**63, 2**64 - 1])
def test_a_frame_above_the_limit_is_not_waited_for(pair: Pair, size: int) -> None:
    pair.line.send(head(size))
    assert f"{size} bytes" in pair.over("frame too large").detail


def test_fragments_that_add_up_above_the_limit(pair: Pair) -> None:
    pair.line.send(frame(b"x" * LIMIT, TEXT, fin=False))
    pair.nothing()
    pair.line.send(frame(b"y", CONT, fin=False))
    assert "in fragments" in pair.over("frame too large").detail


@pytest.mark.parametrize(
    ("wire", "detail"),
    [
        (frame(b"\x03\xe8bye for now", CLOSE), "1000 bye for now"),
        (frame(b"\x03\xf0", CLOSE), "1008"),
        (frame(b"", CLOSE), "no status"),
        (frame(b"\x0f\xa0\xff\xfe\n\nnot text", CLOSE), "4000 \ufffd\ufffd not text"),
    ],
)
def test_a_close_frame(pair: Pair, wire: bytes, detail: str) -> None:
    pair.line.send(frame(b"last words"), wire)
    assert pair.receive() == b"last words"
    assert pair.over("closed").detail == detail


def test_a_reset(pair: Pair) -> None:
    pair.line.reset()
    assert pair.over("lost").detail == "Connection reset by peer"


@pytest.mark.parametrize("wire", [b"", frame(b"half a frame")[:7], b"\x81", head(800), head(800)[:5]])
def test_an_end_without_goodbye(pair: Pair, wire: bytes) -> None:
    pair.line.send(frame(b"whole"), wire)
    pair.line.close()
    assert pair.receive() == b"whole"
    assert "without a close frame" in pair.over("lost").detail


@pytest.mark.parametrize(
    "wire",
    [
        frame(b"x", 0x3),
        frame(b"x", 0xB),
        frame(b"x", reserved=4),
        frame(b"x", reserved=1),
        frame(b"x", CONT),
        frame(b"x", CLOSE),
        frame(b"x", PING, fin=False),
        frame(b"x" * 126, PING),
        frame(b"x" * 126, PONG),
        frame(b"\x03\xee", CLOSE),
        frame(b"one", fin=False) + frame(b"two"),
        frame(b"one", BINARY, fin=False) + frame(b"two", TEXT, fin=False),
    ],
    ids=str,
)
def test_a_peer_that_breaks_the_protocol(pair: Pair, wire: bytes) -> None:
    pair.line.send(frame(b"good"), wire, frame(b"whatever follows proves nothing"))
    assert pair.receive() == b"good"
    pair.over("protocol error")
    assert pair.transport.received_already() == []


def test_a_stall_in_the_middle_of_a_frame(pair: Pair) -> None:
    wire = frame(b"x" * 500)
    for start, end in ((0, 1), (1, 3), (3, 4), (4, 300)):
        pair.line.send(wire[start:end])
        began_s = CLOCK.monotonic_s()
        with pytest.raises(Waited):
            pair.transport.receive(began_s + 0.05)
        assert 0.05 <= CLOCK.monotonic_s() - began_s < PATIENCE_S
    pair.line.send(wire[300:], frame(b"next"))
    assert pair.receive() == b"x" * 500
    assert pair.receive() == b"next"


def test_a_message_is_stamped_when_the_bytes_that_complete_it_leave_the_socket(peer: Peer, wake: Wake) -> None:
    now_ns = 1000
    clock = Clock(wall_ns=lambda: now_ns)
    with connected(peer, wake, clock) as pair:
        first, second = frame(b"first"), frame(b"second")
        now_ns = 2000
        pair.line.send(first + second[:4])
        received = pair.transport.receive(CLOCK.monotonic_s() + PATIENCE_S)
        now_ns = 3000
        pair.nothing()
        pair.line.send(second[4:], frame(b"third"))
        rest = [pair.transport.receive(CLOCK.monotonic_s() + PATIENCE_S)]
        now_ns = 4000
        rest.append(pair.transport.receive(CLOCK.monotonic_s() + PATIENCE_S))
    assert received == Message(2000, b"first")
    assert rest == [Message(3000, b"second"), Message(3000, b"third")]


def test_a_wake_ends_a_wait(pair: Pair, wake: Wake) -> None:
    ended = threading.Event()

    def wait() -> None:
        with pytest.raises(Waited):
            pair.transport.receive(CLOCK.monotonic_s() + 10 * PATIENCE_S)
        ended.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    wake.set()
    assert ended.wait(PATIENCE_S)
    waiter.join()


@pytest.mark.parametrize("wire", [frame(b"", PING), frame(b"", PONG), frame(b"", CONT, fin=False)], ids=str)
def test_a_flood_of_frames_that_make_no_message_hides_neither_the_deadline_nor_a_wake(
    pair: Pair, wake: Wake, wire: bytes
) -> None:
    flood = threading.Event()
    pair.line.send(frame(b"", fin=False))

    def send() -> None:
        pair.line.socket.settimeout(0.05)  # it stands still when nothing is read
        while not flood.is_set():
            try:
                pair.line.send(wire * 10_000)
            except TimeoutError:
                pass
            except OSError:
                return

    def answer() -> None:
        try:
            while pair.line.socket.recv(65_536):
                pass
        except OSError:
            return

    threads = [threading.Thread(target=send), *([threading.Thread(target=answer)] if wire[0] & 15 == PING else [])]
    for thread in threads:
        thread.start()
    try:
        with pytest.raises(Waited):
            pair.transport.receive(CLOCK.monotonic_s() + 0.05)
        wake.set()
        with pytest.raises(Waited):
            pair.transport.receive(CLOCK.monotonic_s() + 10 * PATIENCE_S)
    finally:
        flood.set()
        pair.transport.close()
        for thread in threads:
            thread.join()


def test_what_has_left_the_socket_is_given_when_a_stop_comes_and_nothing_more(pair: Pair) -> None:
    pair.line.send(frame(b"one"), frame(b"two"), frame(b"?", PING), frame(b"thr", fin=False), frame(b"ee", CONT))
    assert pair.receive() == b"one"
    pair.line.send(frame(b"four"))
    assert [message.payload for message in pair.transport.received_already()] == [b"two", b"three"]
    pair.transport.close()
    # And it was not answered: a client that ends says goodbye, but no more than that.
    assert pair.line.receive() == (CLOSE, b"\x03\xe8")


def test_a_command_goes_out_as_text(pair: Pair) -> None:
    pair.transport.send(b'{"cmd":"ping"}')
    assert pair.line.receive() == (TEXT, b'{"cmd":"ping"}')


def test_a_command_that_cannot_be_sent(pair: Pair) -> None:
    pair.line.send(frame(b"one"), frame(b"two"))
    assert pair.receive() == b"one"
    pair.line.reset()
    with pytest.raises(SessionOver) as raised:
        for _ in range(1000):
            pair.transport.send(b"x" * 10_000)
    assert raised.value.reason == "lost"
    assert "a command could not be sent" in raised.value.detail
    # What had left the socket is still there.
    assert [message.payload for message in pair.transport.received_already()] == [b"two"]


def test_closing_waits_for_nobody(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.live.transport.SEND_TIMEOUT_S", 2.0)
    pair.line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    with pytest.raises(SessionOver, match="a command could not be sent"):
        while True:  # until the kernel takes no more
            pair.transport.send(b"x" * 100_000)
    began_s = CLOCK.monotonic_s()
    pair.transport.close()
    assert CLOCK.monotonic_s() - began_s < 1.0
    pair.transport.close()


def test_a_pong_that_cannot_be_sent_loses_none_of_the_messages_behind_the_ping(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise BrokenPipeError("Broken pipe")

    monkeypatch.setattr(pair.transport._connection, "send", broken)
    pair.line.send(frame(b"one"), frame(b"?", PING), frame(b"two"), frame(b"?", PING), frame(b"three"))
    assert [pair.receive() for _ in range(3)] == [b"one", b"two", b"three"]
    pair.over("lost")
    assert pair.transport.received_already() == []
