"""Connecting again and again: what ends a collector, what it waits for, and a queue that is full."""

import re
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from recorder.clock import Clock
from recorder.errors import Refused, Unreachable
from recorder.live import collector as collecting
from recorder.live import session as sessions
from recorder.live.collector import Collector
from recorder.live.session import Session
from recorder.model import SENT, Control
from recorder.store.entries import Covered, SessionEnded, SessionOpened
from recorder.venues.base import Command
from recorder.venues.fmex.portal import FMexSession
from tests.unit.live.peer import PATIENCE_S, Line, Peer, accept, frame, refuse
from tests.unit.live.stage import COVERED, HELLO, ORDER, QUICK, TOPICS, Stage, Venue, pushes

#: Words of an exchange that will not have a key.
REFUSAL = refuse("401 Unauthorized", body=b"api key check fail")


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (Line.reset, "lost"),
        (Line.close, "lost"),
        (lambda line: line.send(frame(b"\x03\xe9the simulator ends", 8)), "closed"),
        (lambda line: line.send(frame(b"", 3)), "protocol error"),
    ],
    ids=["reset", "end", "goodbye", "nonsense"],
)
def test_after_each_end_it_connects_again_and_subscribes_again(peer: Peer, end: object, reason: str) -> None:
    assert callable(end)
    with Stage(peer) as stage:
        line = stage.subscribed()
        line.send(frame(ORDER))
        stage.wait_payload(ORDER)
        assert stage.collector.sessions == 1
        end(line)
        ended = stage.wait_entry(SessionEnded)
        again = stage.subscribed()
        again.send(frame(pushes(1)[0]))
        stage.wait_payload(pushes(1)[0])
        assert stage.collector.sessions == 2
        assert stage.collector.state == "covered"
    assert (ended.reason, ended.covered, ended.last_seq) == (reason, True, 3)
    first, second = stage.entries(SessionOpened)
    assert first.session_id != second.session_id
    assert (first.run_id, first.topics) == (second.run_id, second.topics)
    of_second = [recorded.frame for recorded in stage.frames() if recorded.frame.session_id == second.session_id]
    assert [one.seq for one in of_second] == [0, 1, 2, 3], "each session counts for itself"
    assert [type(entry) for entry in stage.items if not hasattr(entry, "frame")] == [
        SessionOpened, Covered, SessionEnded, SessionOpened, Covered, SessionEnded
    ]  # fmt: skip


def test_waits_grow_and_are_no_shorter_than_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read from what it says: waits of seconds are not waited for."""
    waits: list[float] = []
    answers = [refuse("503 Unavailable"), refuse("429 Slow", "Retry-After: 7"), refuse("503 Unavailable"), accept]
    with Peer(*answers) as peer:
        limits = replace(QUICK, reconnect_first_s=1.0, reconnect_last_s=2.0)
        stage = Stage(peer, limits=limits)
        wait = stage.collector._stopping.wait

        def at_once(wait_s: float) -> bool:
            waits.append(wait_s)
            return wait(0)

        monkeypatch.setattr(stage.collector._stopping, "wait", at_once)
        with stage:
            stage.subscribed()
    assert 0.5 <= waits[0] <= 1.0
    assert waits[1] == 7.0
    assert 1.0 <= waits[2] <= 2.0


@pytest.mark.parametrize(
    ("answer", "error"), [(REFUSAL, Refused), (refuse("404 Not Found"), Unreachable), (lambda _: b"", Unreachable)]
)
def test_a_first_connection_that_fails_ends_it(answer: object, error: type[Exception]) -> None:
    assert callable(answer)
    with Peer(answer) as peer, Stage(peer) as stage:
        assert stage.ended.wait(PATIENCE_S)
        stage.collector.join(PATIENCE_S)
        assert type(stage.collector.failure) is error
        assert peer.requests.qsize() == 1, "it does not hammer"
    assert stage.items == []


def test_nobody_listens() -> None:
    with Peer() as peer:
        stage = Stage(peer)
    with stage:
        assert stage.ended.wait(PATIENCE_S)
        assert type(stage.collector.failure) is Unreachable


def test_an_exchange_that_asks_to_be_left_alone_at_first_is_tried_again() -> None:
    with Peer(refuse("503 Unavailable"), refuse("429 Slow"), accept) as peer, Stage(peer) as stage:
        stage.subscribed()
        stage.wait_entry(Covered)
        assert stage.collector.failure is None


@pytest.mark.parametrize("answer", [REFUSAL, refuse("404 Not Found"), refuse("503 Unavailable"), lambda _: b""])
def test_a_later_connection_that_fails_is_tried_again(
    answer: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert callable(answer)
    monkeypatch.setattr(collecting, "REFUSED_S", 0.03)
    with Peer(accept, answer, answer, accept) as peer, Stage(peer) as stage:
        line = stage.subscribed()
        stage.wait_entry(Covered)
        line.reset()
        stage.wait_entry(SessionEnded)
        stage.subscribed()
        stage.wait_entry(Covered, 2)
        assert stage.collector.failure is None
    assert caplog.text.count("Trying again in ") == 2
    assert len(stage.entries(SessionOpened)) == 2


def test_a_key_refused_later_is_tried_again_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "REFUSED_S", 0.2)
    asked_s: list[float] = []

    def timed(answer: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        def note(request: bytes) -> bytes:
            asked_s.append(Clock().monotonic_s())
            return answer(request)

        return note

    with Peer(*map(timed, [accept, REFUSAL, accept])) as peer, Stage(peer) as stage:
        stage.subscribed().reset()
        stage.wait_entry(SessionOpened, 2)
    assert asked_s[2] - asked_s[1] >= 0.2


def test_a_session_that_was_covered_makes_the_next_wait_short_again(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    limits = replace(QUICK, reconnect_first_s=0.2, reconnect_last_s=100.0)
    with Stage(peer, limits=limits) as stage:
        monkeypatch.setattr(stage.collector._stopping, "wait", waits.append)
        for _ in range(4):
            stage.greeted().reset()
        for number in range(1, 4):
            line = stage.subscribed()
            stage.wait_entry(Covered, number)
            line.reset()
        stage.subscribed()
    assert 0.8 <= waits[3] <= 1.6, "none of them was covered"
    assert all(wait_s <= 0.2 for wait_s in waits[4:7])
    assert len(waits) == 7 + 1


def test_every_topic_refused_at_first_ends_it_and_names_them(peer: Peer) -> None:
    with Stage(peer) as stage:
        line = stage.greeted()
        line.send(*[frame(b'{"status":41002,"msg":"invalid sub topic, %s"}' % topic.encode()) for topic in TOPICS])
        assert stage.ended.wait(PATIENCE_S)
        assert type(stage.collector.failure) is Refused
        said = str(stage.collector.failure)
        assert all(f"{topic} (41002 invalid sub topic, {topic})" in said for topic in TOPICS)
    (ended,) = stage.entries(SessionEnded)
    assert (ended.reason, ended.covered) == ("refused", False)
    assert len(stage.received()) == 4


def test_every_topic_refused_later_is_tried_again(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(collecting, "REFUSED_S", 0.03)
    with Stage(peer) as stage:
        stage.subscribed().reset()
        line = stage.greeted()
        line.send(*[frame(b'{"status":41002,"msg":"invalid sub topic, %s"}' % topic.encode()) for topic in TOPICS])
        ended = stage.wait_entry(SessionEnded, 2)
        stage.subscribed()
        stage.wait_entry(Covered, 2)
    assert ended.reason == "refused"
    assert "account (41002 invalid sub topic, account), order.btcusd_p" in ended.detail
    opened, over = stage.entries(SessionOpened), stage.entries(SessionEnded)
    assert [one.session_id for one in over] == [one.session_id for one in opened], "each ends once"
    assert "refused every topic" in caplog.text
    assert "the others are recorded" not in caplog.text


def test_a_full_queue_stops_the_reading_and_loses_nothing(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "ROOM_CHECK_S", 0.01)
    limits = replace(QUICK, queue_frames_max=50, silent_s=1.5, stalled_s=PATIENCE_S)
    payload = b'{"type":"order.btcusd_p","order":{"id":%d,"symbol":"' + b"x" * 2_000 + b'"}}'
    payloads = [payload % number for number in range(6_000)]
    with Stage(peer, limits=limits, venue=Venue(0.05)) as stage:
        line = stage.subscribed()
        stage.wait_entry(Covered)
        taken = len(stage.frames())
        wire = memoryview(b"".join(map(frame, payloads)))
        # As much as the two kernels hold; then nobody reads on.
        line.socket.settimeout(2.0)
        sent, full_s = 0, Clock().monotonic_s()
        with pytest.raises(TimeoutError):
            while sent < len(wire):
                sent += line.socket.send(wire[sent:])
        assert sent < len(wire)
        assert not stage.channel.has_room()
        waiting = stage.channel.frames_in - stage.channel.frames_out
        heartbeats = (Clock().monotonic_s() - full_s) / 0.05 + 1
        assert waiting <= 50 + 3 + heartbeats, "the frames of one look, and the heartbeats that went out meanwhile"
        # It was longer than the limit of silence: the silence is ours, and the exchange is told that we live.
        line.socket.settimeout(PATIENCE_S)
        assert [b"ping" in line.receive_text() for _ in range(3)] == [True] * 3
        sender = threading.Thread(target=line.socket.sendall, args=(wire[sent:],))
        sender.start()
        stage.wait(lambda: stage.received()[-1] == payloads[-1] and len(stage.frames()) > taken)
        sender.join()
        wire.release()
    assert stage.received()[2:] == payloads
    assert stage.entries(SessionEnded)[0].reason == "stopped"
    assert [recorded.frame.seq for recorded in stage.frames()] == list(range(len(stage.frames())))


def test_a_queue_that_stays_full_ends_the_session_at_the_last_frame_kept(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sessions, "ROOM_CHECK_S", 0.01)
    monkeypatch.setattr(sessions, "LOG_WAIT_S", 0.03)
    limits = replace(QUICK, queue_frames_max=10, stalled_s=0.1)
    with Stage(peer, limits=limits) as stage:
        line = stage.peer.line()
        line.send(frame(HELLO), frame(COVERED), *map(frame, pushes(100)))
        peer.line()  # it has given this connection up, and asks for another
        stage.wait_entry(SessionEnded)
    ended = stage.entries(SessionEnded)[0]
    first = [one for one in stage.frames() if one.frame.session_id == ended.session_id]
    last = first[-1].frame
    assert (ended.reason, ended.covered) == ("stalled", True)
    assert ended.detail == "the database took nothing for 0.1 s"
    assert (ended.last_seq, ended.last_received_ns) == (last.seq, last.received_ns)
    kept = [one.frame.payload for one in first if one.frame.source != SENT]
    assert kept == [HELLO, COVERED, *pushes(100)][: len(kept)]
    assert re.search(r"main: 1\d frames wait to be written: reading pauses until the database catches up", caplog.text)


def test_a_wait_for_room_is_no_silence_of_the_exchange(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "ROOM_CHECK_S", 0.01)
    limits = replace(QUICK, queue_frames_max=10, silent_s=1.6, stalled_s=PATIENCE_S)
    with Stage(peer, limits=limits, venue=Venue(0.05)) as stage:
        line = stage.subscribed()
        stage.wait_entry(Covered)
        line.send(*map(frame, pushes(10)))
        while stage.channel.has_room():
            assert stage.ready.wait(PATIENCE_S)
        # For longer than the limit of silence nothing is read, and nothing is there to be read.
        for _ in range(36):
            line.receive_text()
        stage.take()
        line.receive_text()
        line.send(frame(ORDER))
        stage.wait_payload(ORDER)
        assert stage.entries(SessionEnded) == []


def test_a_stop_ends_a_wait_for_room(peer: Peer) -> None:
    with Stage(peer, limits=replace(QUICK, queue_frames_max=3, stalled_s=1000.0)) as stage:
        stage.subscribed().send(*map(frame, pushes(100)))
        while stage.channel.has_room():
            assert stage.ready.wait(PATIENCE_S)
        began_s = Clock().monotonic_s()
        stage.stop()
        assert Clock().monotonic_s() - began_s < 2.0
    assert stage.entries(SessionEnded)[0].reason == "stopped"


def test_a_writer_that_ended_ends_it_without_a_word(peer: Peer) -> None:
    with Stage(peer, limits=replace(QUICK, queue_frames_max=3, stalled_s=1000.0)) as stage:
        stage.subscribed().send(*map(frame, pushes(100)))
        while stage.channel.has_room():
            assert stage.ready.wait(PATIENCE_S)
        stage.channel.close()
        assert stage.ended.wait(PATIENCE_S)
        assert stage.collector.failure is None


def test_a_bug_of_ours_ends_it_and_the_event_log_says_so(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    def receive(_session: FMexSession, _control: Control, _now_ms: int) -> list[Command]:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(FMexSession, "receive", receive)
    with Stage(peer) as stage:
        peer.line().send(frame(HELLO))
        assert stage.ended.wait(PATIENCE_S)
        assert isinstance(stage.collector.failure, ZeroDivisionError)
    assert stage.received() == [HELLO], "what was received is kept"
    (ended,) = stage.entries(SessionEnded)
    assert (ended.reason, ended.detail, ended.last_seq) == ("fault", "ZeroDivisionError", 0)


def test_a_stop_while_it_waits_to_connect_again(peer: Peer) -> None:
    limits = replace(QUICK, reconnect_first_s=500.0, reconnect_last_s=1000.0)
    with Stage(peer, limits=limits) as stage:
        stage.subscribed().reset()
        stage.wait_entry(SessionEnded)
        stage.stop()
    assert len(stage.entries(SessionOpened)) == 1


def test_a_stop_while_it_connects(peer: Peer) -> None:
    """A handshake that is never answered holds it; once it is, nothing is recorded any more."""
    answered = threading.Event()

    def late(request: bytes) -> bytes:
        assert answered.wait(PATIENCE_S)
        return accept(request)

    with Peer(late) as slow, Stage(slow) as stage:
        slow.requests.get(timeout=PATIENCE_S)
        stage.collector.stop()
        answered.set()
        assert stage.ended.wait(PATIENCE_S)
    assert stage.items == []


def test_the_time_of_the_last_push(peer: Peer) -> None:
    with Stage(peer) as stage:
        began_s = stage.collector.last_push_s
        line = stage.subscribed()
        stage.wait_entry(Covered)
        line.send(frame(b'{"type":"ping","ts":1,"gap":0}'), frame(b"nonsense"))
        stage.wait_payload(b"nonsense")
        quiet_s = stage.collector.last_push_s
        line.send(frame(ORDER), frame(b"the next"))
        stage.wait_payload(b"the next")
        pushed_s = stage.collector.last_push_s
        line.reset()
        stage.wait_entry(SessionEnded)
        stage.subscribed()
        stage.wait_entry(Covered, 2)
        assert stage.collector.last_push_s == pushed_s, "a connection is no push"
    assert pushed_s > quiet_s >= began_s


def test_the_state_can_be_asked_for_at_any_time(peer: Peer) -> None:
    """From another thread, while sessions come and go."""

    class Fleeting(Collector):
        """Its session is gone at the second look."""

        looks: int
        there: Session | None

        @property
        def session(self) -> Session | None:
            self.looks += 1
            return self.there if self.looks == 1 else None

        @session.setter
        def session(self, value: Session | None) -> None:
            self.looks, self.there = 0, value

    with Stage(peer) as stage:
        stage.subscribed()
        stage.wait_entry(Covered)
        session = stage.collector.session
    fleeting = Fleeting.__new__(Fleeting)
    fleeting.session = session
    assert [fleeting.state, fleeting.state] == ["covered", "connecting"]
