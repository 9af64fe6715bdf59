"""One connection's life: what is handed over, in which order, and what ends it."""

import json
import logging
import select
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from threading import Event

import pytest

from recorder.clock import NS_PER_S, Clock
from recorder.errors import SessionOver
from recorder.live import repeated
from recorder.live.backoff import Backoff
from recorder.live.channel import Channel
from recorder.live.session import Session
from recorder.live.settings import Account
from recorder.live.transport import Transport, connect
from recorder.live.wake import Wake
from recorder.model import (
    CONTROL,
    DECODED,
    PUSH,
    REPEATED,
    SENT,
    UNDECODED,
    Control,
    Decoded,
    OrderUpdate,
    RefusedCommand,
    SequenceNumber,
)
from recorder.store.entries import Covered, SessionEnded, SessionOpened
from recorder.venues import venue_named
from recorder.venues.base import Command, Stream
from recorder.venues.fmex.portal import FMexSession
from recorder.venues.kraken.portal import KrakenSession
from recorder.venues.rest import Credentials, Login, Token
from tests.made import ACCOUNT, NOON_NS, RUN, SESSION
from tests.samples import FMEX
from tests.unit.live.peer import PATIENCE_S, PING, PONG, Peer, frame
from tests.unit.live.stage import COVERED, HELLO, ORDER, QUICK, TOPICS, Stage, Venue, account_of, pushes, received


def test_a_command_is_recorded_before_it_goes_out_and_before_its_answer(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded_when_sent: list[int] = []
    send = Transport.send

    def noting(transport: Transport, command: bytes) -> None:
        recorded_when_sent.append(stage.channel.frames_in)
        send(transport, command)

    monkeypatch.setattr(Transport, "send", noting)
    with Stage(peer) as stage:
        stage.subscribed()
        stage.wait_entry(Covered)
    assert recorded_when_sent == [2], "the greeting, and the command itself"
    frames = [recorded.frame for recorded in stage.frames()]
    assert [(one.seq, one.source, one.status) for one in frames] == [
        (0, PUSH, CONTROL),
        (1, SENT, CONTROL),
        (2, PUSH, CONTROL),
    ]
    assert json.loads(frames[1].payload) == {"cmd": "sub", "args": TOPICS, "id": "sub-1"}
    assert (frames[0].payload, frames[2].payload) == (HELLO, COVERED)


def test_a_state_that_is_pushed_again_is_kept_without_rows(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated, "UNSETTLED_S", 0.0)
    venue = Venue()
    venue.repeated_topics = {"account": 1000.0}

    def state(at_ms: int, available: int) -> bytes:
        told = {"currency": "BTC", "available": available, "frozen": 0, "position": 0, "updated_at": at_ms}
        return json.dumps({"type": "account", "account": told, "ts": at_ms}).encode()

    sent = [state(1, 1), state(2, 1), state(3, 2), ORDER, state(4, 2), state(5, 2)]
    with Stage(peer, venue=venue) as stage:
        line = stage.subscribed()
        stage.wait_entry(Covered)
        line.send(*map(frame, sent))
        stage.wait_payload(sent[-1])
    heard = [one for one in stage.frames() if one.frame.payload in sent]
    assert [one.frame.payload for one in heard] == sent
    assert [one.frame.source for one in heard] == [PUSH, REPEATED, PUSH, PUSH, PUSH, REPEATED]
    assert [len(one.updates) for one in heard] == [1, 0, 1, 1, 1, 0]
    assert {one.frame.status for one in heard} == {DECODED}


def test_the_event_log_of_a_session(peer: Peer) -> None:
    with Stage(peer) as stage:
        line = stage.subscribed()
        covered = stage.wait_entry(Covered)
        line.send(frame(ORDER))
        stage.wait_payload(ORDER)
    (opened,), (ended,) = stage.entries(SessionOpened), stage.entries(SessionEnded)
    frames = {recorded.frame.seq: recorded.frame for recorded in stage.frames()}
    assert stage.items[0] == opened
    assert stage.items[-1] == ended
    assert opened == SessionOpened(
        stage.account.account_id, opened.session_id, RUN, f"ws://127.0.0.1:{peer.port}/v2/user/ws", tuple(TOPICS),
        opened.opened_ns,
    )  # fmt: skip
    assert covered == Covered(stage.account.account_id, opened.session_id, 2, frames[2].received_ns, tuple(TOPICS), {})
    assert ended == SessionEnded(
        stage.account.account_id, opened.session_id, ended.ended_ns, "stopped", "", True, 3, frames[3].received_ns
    )
    assert stage.items.index(covered) == 1 + 3, "in its place among the frames"


def test_covered_is_told_when_the_last_topic_is_acknowledged(peer: Peer) -> None:
    with Stage(peer) as stage:
        line = stage.greeted()
        line.send(frame(b'{"type":"topics","topics":["account"]}'), frame(ORDER))
        stage.wait_payload(ORDER)
        assert stage.entries(Covered) == []
        assert stage.collector.state == "subscribing"
        line.send(frame(b'{"type":"topics","topics":["position.btcusd_p","order.btcusd_p"]}'))
        assert stage.wait_entry(Covered).seq == 4
        assert stage.collector.state == "covered"
        line.send(frame(COVERED), frame(ORDER))
        stage.wait(lambda: stage.received().count(ORDER) == 2)
        assert len(stage.entries(Covered)) == 1


def test_one_refused_topic_does_not_take_the_others_down(peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    with Stage(peer) as stage:
        line = stage.greeted()
        line.send(frame(b'{"id":"sub-1","status":41002,"msg":"invalid sub topic, order.btcusd_p"}'))
        again = json.loads(line.receive_text())
        assert again["args"] == ["account", "position.btcusd_p"]
        line.send(frame(b'{"type":"topics","topics":["account","position.btcusd_p"]}'))
        covered = stage.wait_entry(Covered)
    assert covered.refused == {"order.btcusd_p": "41002 invalid sub topic, order.btcusd_p"}
    assert covered.topics == tuple(TOPICS)
    assert "the exchange refused topic order.btcusd_p" in caplog.text


def test_many_symbols_take_many_commands(peer: Peer) -> None:
    symbols = tuple(f"s{number}_p" for number in range(25))
    with Stage(peer, symbols=symbols) as stage:
        line = peer.line()
        line.send(frame(HELLO))
        asked = [json.loads(line.receive_text())["args"] for _ in range(3)]
        assert [len(args) for args in asked] == [20, 20, 11]
        for args in asked:
            assert stage.entries(Covered) == []
            line.send(frame(json.dumps({"type": "topics", "topics": args}).encode()))
        stage.wait_entry(Covered)


def test_the_heartbeat(peer: Peer) -> None:
    heartbeat_s = 0.05
    began_s = Clock().monotonic_s()
    with Stage(peer, venue=Venue(heartbeat_s)) as stage:
        line = stage.subscribed()
        pings = []
        for number in count(2):
            ping = json.loads(line.receive_text())
            line.send(frame(b'{"id":"%s","type":"ping","ts":5,"gap":%d}' % (ping["id"].encode(), number)))
            pings.append(ping)
            if len(pings) == 5:
                break
        took_s = Clock().monotonic_s() - began_s
        stage.wait(lambda: b'"gap":6' in stage.received()[-1])
    assert [ping["cmd"] for ping in pings] == ["ping"] * 5
    assert [ping["id"] for ping in pings] == [f"ping-{number}" for number in range(2, 7)]
    # Each waits for its time, whatever comes in between.
    assert took_s >= 5 * heartbeat_s
    recorded = [json.loads(recorded.frame.payload) for recorded in stage.frames(SENT)[1:]]
    assert recorded[:5] == pings
    assert stage.entries(SessionEnded)[0].reason == "stopped"


def test_a_heartbeat_can_be_asked_for(peer: Peer) -> None:
    with Stage(peer) as stage:
        line = stage.subscribed()
        stage.wait_entry(Covered)
        assert stage.collector.session is not None
        stage.collector.session.beat_soon()
        line.send(frame(ORDER))
        assert json.loads(line.receive_text())["cmd"] == "ping"
        # And from then on as before: not with every frame.
        line.send(frame(ORDER))
        stage.wait(lambda: stage.received().count(ORDER) == 2)
        assert len(stage.frames(SENT)) == 2, "the subscription and one heartbeat"


def test_pushes_do_not_put_off_the_heartbeat(peer: Peer) -> None:
    with Stage(peer, venue=Venue(0.05)) as stage:
        line = stage.subscribed()
        line.socket.setblocking(False)
        sent = 0
        # Until it has come: no moment of these is without a push.
        while not select.select([line.socket], [], [], 0)[0]:
            try:
                line.send(frame(ORDER))
                sent += 1
            except BlockingIOError:
                break
            stage.take()
        line.socket.settimeout(PATIENCE_S)
        assert json.loads(line.receive_text())["cmd"] == "ping"
    assert sent > 1


PONG_TEXT = b'{"type":"ping","ts":1,"gap":0}'


def test_silence_ends_a_session_and_its_last_frame_is_known(peer: Peer) -> None:
    limits = replace(QUICK, silent_s=1.0)
    with Stage(peer, limits=limits, venue=Venue(0.04)) as stage:
        line = stage.subscribed()
        line.send(frame(ORDER), frame(b"half a frame")[:5])
        ended = stage.wait_entry(SessionEnded)
        stage.peer.line()  # and it connects again
    assert (ended.reason, ended.detail, ended.covered) == ("silent", "nothing came for 1 s", True)
    last = next(recorded.frame for recorded in stage.frames() if recorded.frame.payload == ORDER)
    assert (ended.last_seq, ended.last_received_ns) == (last.seq, last.received_ns)
    # From the last frame on, not from when it was noticed; and our own pings prove nothing.
    assert ended.ended_ns - ended.last_received_ns >= 1.0 * NS_PER_S
    assert len(stage.frames(SENT)) > 1
    assert max(recorded.frame.seq for recorded in stage.frames(SENT)) > last.seq


def test_answered_heartbeats_are_no_silence(peer: Peer) -> None:
    with Stage(peer, limits=replace(QUICK, silent_s=3.0), venue=Venue(0.1)) as stage:
        line = stage.subscribed()
        for _ in range(36):
            line.receive_text()
            line.send(frame(b'{"type":"ping","ts":1,"gap":0}'))
        stage.take()
        assert stage.entries(SessionEnded) == []


@pytest.mark.parametrize("answered", [False, True])
def test_pings_of_the_socket_are_a_sign_of_life_unless_heartbeats_were_answered(peer: Peer, answered: bool) -> None:
    """The pings of a proxy go on although the exchange behind it is dead."""
    with Stage(peer, limits=replace(QUICK, silent_s=1.5), venue=Venue(0.05 if answered else 1000.0)) as stage:
        line = stage.subscribed()
        if answered:
            line.receive_text()
            line.send(frame(PONG_TEXT))
            stage.wait_payload(PONG_TEXT)
        over, until_s = Event(), time.monotonic() + 3.0

        def ping() -> None:
            while not over.wait(0.02):
                try:
                    line.send(frame(b"", PING))
                    line.receive()
                except (OSError, EOFError):
                    return

        pinger = threading.Thread(target=ping)
        pinger.start()
        if answered:
            assert stage.wait_entry(SessionEnded).reason == "silent"
        else:
            while time.monotonic() < until_s:
                over.wait(0.1)
                stage.take()
                assert stage.entries(SessionEnded) == []
        over.set()
        pinger.join()


@pytest.mark.parametrize("said", [[], [HELLO], [HELLO, b'{"type":"topics","topics":["account"]}']])
def test_an_exchange_that_never_acknowledges_everything(peer: Peer, said: list[bytes]) -> None:
    with Stage(peer, limits=replace(QUICK, subscribe_s=1.0), venue=Venue(0.03)) as stage:
        peer.line().send(*map(frame, said))
        ended = stage.wait_entry(SessionEnded)
    assert (ended.reason, ended.covered) == ("not subscribed", False)
    assert ended.last_seq == {0: -1, 1: 0, 2: 2}[len(said)]


def test_what_cannot_be_decoded_is_kept_and_the_good_frame_after_it(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [b"", b"\xff", b"[]", b"{", b'{"type":"order.x","order":{"id":1e999}}', b"[" * 20_000]
    with Stage(peer) as stage:
        line = stage.subscribed()
        line.send(*map(frame, bad), frame(ORDER))
        stage.wait_payload(ORDER)
    assert stage.received() == [HELLO, COVERED, *bad, ORDER]
    kept = stage.frames(PUSH)[2:]
    assert [recorded.frame.status for recorded in kept[:-1]] == [UNDECODED] * len(bad)
    assert all(recorded.frame.error for recorded in kept[:-1])
    assert stage.entries(SessionEnded)[0].reason == "stopped"
    # A word for the 1st, 2nd and 4th.
    assert caplog.text.count("is kept but could not be decoded") == 3


@pytest.mark.parametrize("words", ["a bug", "a\0bug", "a\ud800bug", "a\x1bbug"])
def test_a_bug_in_the_decoder_costs_no_frame(peer: Peer, words: str) -> None:
    class Faulty(Venue):
        def decode(self, payload: bytes) -> Decoded:
            if payload == ORDER:
                raise ZeroDivisionError(words)
            return super().decode(payload)

    good = pushes(1)[0]
    with Stage(peer, venue=Faulty()) as stage:
        stage.subscribed().send(frame(ORDER), frame(good))
        stage.wait_payload(good)
    (kept,) = [recorded.frame for recorded in stage.frames() if recorded.frame.payload == ORDER]
    assert (kept.status, kept.error) == (UNDECODED, "ZeroDivisionError: a bug")


def test_a_frame_that_is_too_large_ends_the_session_with_its_reason(peer: Peer) -> None:
    with Stage(peer, limits=replace(QUICK, frame_bytes_max=500)) as stage:
        stage.subscribed().send(frame(ORDER), frame(b"x" * 501), frame(ORDER))
        ended = stage.wait_entry(SessionEnded)
    assert (ended.reason, ended.covered, ended.last_seq) == ("frame too large", True, 3)
    assert "501 bytes" in ended.detail


def test_a_jumping_wall_clock_ends_nothing(peer: Peer) -> None:
    hours = count()

    def jumping_ns() -> int:
        # Forwards and backwards by hours, at every look.
        hour = next(hours)
        return NOON_NS + (hour if hour % 2 else -hour) * 3_600 * NS_PER_S

    limits = replace(QUICK, silent_s=5.0, subscribe_s=5.0)
    with Stage(peer, limits=limits, venue=Venue(0.03), clock=Clock(wall_ns=jumping_ns)) as stage:
        line = stage.subscribed()
        for number in range(5):
            line.receive_text()
            line.send(frame(pushes(1, number)[0]))
        stage.wait_payload(pushes(1, 4)[0])
        assert stage.entries(SessionEnded) == []
    assert stage.received()[2:] == pushes(5)
    seqs = [recorded.frame.seq for recorded in stage.frames()]
    assert seqs == list(range(len(seqs)))
    assert len(stage.entries(SessionOpened)) == 1


def test_a_stop_keeps_what_has_left_the_socket(peer: Peer) -> None:
    """Thousands of frames lie in one piece of 64 KiB: those that had not been handed over yet are, before the end."""
    payloads = pushes(3_000)
    with Stage(peer, limits=replace(QUICK, queue_frames_max=5)) as stage:
        line = stage.greeted()
        line.socket.setblocking(False)
        line.socket.send(b"".join(map(frame, [COVERED, *payloads])))
        while stage.channel.has_room():
            assert stage.ready.wait(PATIENCE_S)
    received = stage.received()
    assert received[2:] == payloads[: len(received) - 2]
    # At least what fits into the smallest piece that a loopback segment is read in.
    assert len(received) > 100
    ended = stage.entries(SessionEnded)[0]
    assert (ended.reason, ended.last_seq) == ("stopped", stage.frames(PUSH)[-1].frame.seq)


def test_a_command_that_cannot_be_sent_loses_nothing_that_had_come(peer: Peer, wake: Wake) -> None:
    class Mute(Transport):
        def send(self, command: bytes) -> None:
            raise SessionOver("lost", "a command could not be sent")

    address = f"ws://127.0.0.1:{peer.port}/"
    transport = connect(address, address, (), FMEX, wake, Clock(), PATIENCE_S, 10_000)
    transport.__class__ = Mute
    channel = Channel(Event(), 100, 10_000)
    opened = SessionOpened(ACCOUNT, SESSION, RUN, address, ("account",), NOON_NS)
    account = account_of(peer)
    protocol = account.venue.push_session(account.streams[0], account.login, None)
    session = Session(account, protocol, opened, transport, channel, Clock(), QUICK)
    payloads = [HELLO, *pushes(3), COVERED]
    peer.line().send(*map(frame, payloads))
    with pytest.raises(SessionOver, match="lost: a command could not be sent"):
        session.record(Event())
    session.keep_received()
    transport.close()
    assert received(channel.take(100, 10_000)) == payloads
    assert session.ended(SessionOver("lost")).last_seq == 5
    assert not session.covered, "a dead connection covers nothing"


class CountedSession(FMexSession):
    """FMex, where pushes are counted as at Kraken."""

    def __init__(self, topics: tuple[str, ...]) -> None:
        super().__init__(topics)
        self.counted = KrakenSession(None).counted  # type: ignore[method-assign]

    def heartbeat(self, now_ms: int) -> None:  # type: ignore[override]
        """A ping of the WebSocket protocol."""


class CountedVenue(Venue):
    """Each order's id is the number of its push."""

    def __init__(self, on_push: Callable[[int], None] = lambda number: None) -> None:
        super().__init__(heartbeat_s=0.2)
        self.on_push = on_push

    def push_session(self, stream: Stream, login: Login, token: Token | None) -> CountedSession:
        return CountedSession(stream.topics)

    def decode(self, payload: bytes) -> Decoded:
        decoded = super().decode(payload)
        for update in decoded.updates:
            if isinstance(update, OrderUpdate):
                self.on_push(int(update.order_id))
                return decoded._replace(sequence=SequenceNumber(int(update.order_id)))
        return decoded


@pytest.mark.parametrize("numbers", [[1, 2, 3, 4, 5, 7, 8, 9], [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 13, 14, 15, 16]])
@pytest.mark.parametrize("is_stopped", [False, True])
def test_what_was_read_with_a_hole_is_kept_and_the_gap_begins_before_the_hole(
    peer: Peer, numbers: list[int], is_stopped: bool
) -> None:
    def on_push(number: int) -> None:
        if is_stopped and number == 5:
            stage.collector.stop()

    sent = [pushes(1, number)[0] for number in numbers]
    with Stage(peer, venue=CountedVenue(on_push)) as stage:
        line = stage.subscribed()
        stage.wait_entry(Covered)
        assert line.receive() == (PING, b"1")
        line.send(*map(frame, sent), frame(b"1", PONG))  # the pong is no proof of what was pushed before it
        ended = stage.wait_entry(SessionEnded)
    assert stage.collector.failure is None
    kept = [one.frame for one in stage.frames(PUSH) if one.frame.session_id == ended.session_id]
    assert [one.payload for one in kept][-len(sent) :] == sent
    before = kept[-len(sent) :][numbers.index(5)]
    assert (ended.reason, ended.detail) == ("lost", "pushes of order.btcusd_p before number 7 did not arrive")
    assert (ended.last_seq, ended.last_received_ns) == (before.seq, before.received_ns)


def test_a_clock_that_drifts_is_said_once(peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    with Stage(peer) as stage:
        line = stage.subscribed()
        for gap in (0, 14_000, -15_001, 20_000):
            line.send(frame(b'{"type":"ping","ts":1,"gap":%d}' % gap))
        stage.wait(lambda: b"20000" in stage.received()[-1])
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert said == [
        "main: this machine's clock is -15.0 s off the exchange's, and at most 30 s are allowed: set it (NTP)"
    ]


def test_a_decoded_frame_without_updates_is_no_fault(peer: Peer) -> None:
    class Silent(Venue):
        def __init__(self) -> None:
            super().__init__()
            decode = self.decode
            self.decode = lambda payload: (
                Decoded("news", DECODED, None, (), None) if payload == b"{}" else decode(payload)
            )

    with Stage(peer, venue=Silent()) as stage:
        line = stage.subscribed()
        line.send(frame(b"{}"), frame(ORDER))
        stage.wait_payload(ORDER)
        assert stage.collector.failure is None
    assert b"{}" in stage.received()


def test_a_protocol_can_say_that_nothing_more_is_pushed(peer: Peer) -> None:
    """What says so is the session's last frame, and the gap begins there."""
    said = b'{"status":1,"msg":"terminated"}'

    class Terminated(FMexSession):
        def receive(self, control: Control, now_ms: int) -> list[Command]:
            if isinstance(control, RefusedCommand) and self.settled:
                raise SessionOver("closed", "the exchange ended the subscription")
            return super().receive(control, now_ms)

    class Terminating(Venue):
        def push_session(self, stream: Stream, _login: Login, _token: Token | None) -> FMexSession:
            return Terminated(stream.topics)

    with Stage(peer, venue=Terminating()) as stage:
        stage.subscribed().send(frame(ORDER), frame(said))
        ended = stage.wait_entry(SessionEnded)
    assert (ended.reason, ended.detail, ended.covered) == ("closed", "the exchange ended the subscription", True)
    assert stage.received() == [HELLO, COVERED, ORDER, said]


def test_a_subscription_that_ends_after_all_acknowledgements_ends_the_session(peer: Peer) -> None:
    """OKX says so after its acknowledgement, and pushes nothing more of the topic; the connection lives on."""
    keys = Credentials(key="a-key", secret="a-secret", passphrase="a-passphrase")
    account = Account(name="main", venue=venue_named("okx"), url=peer.url, credentials=keys, symbols=())
    too_many = b'{"event":"channel-conn-count-error","channel":"orders","connCount":"30","connId":"a4d3ae55"}'
    waits: list[float] = []

    def pick_s(low_s: float, high_s: float) -> float:
        waits.append(high_s)
        return low_s

    with Stage(peer, account=account) as stage:
        stage.collector._backoff = Backoff(0.01, 1000.0, pick_s)
        for _ in range(3):
            line = peer.line()
            line.receive_text()
            line.send(frame(b'{"event":"login","msg":"","code":"0","connId":"a4d3ae55"}'))
            for topic in stage.collector.stream.topics:
                asked = json.loads(line.receive_text())
                said = {"id": asked["id"], "event": "subscribe", "arg": {"channel": topic}}
                line.send(frame(json.dumps(said).encode()))
            line.send(frame(too_many))
        ended = stage.wait_entry(SessionEnded, count=3)
    words = "orders: the account has too many connections (30) with this channel"
    assert (ended.reason, ended.detail, ended.covered) == ("not subscribed", words, True)
    assert waits[:2] == [0.01, 0.02], "it is asked less and less often"
