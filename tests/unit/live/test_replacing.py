"""A connection that the exchange is going to end is replaced before that, without a gap; and silence on a topic."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from recorder.live.settings import Limits
from recorder.model import PUSH
from recorder.store.entries import Covered, SessionEnded, SessionOpened
from tests.unit.live.peer import PING, PONG, Line, frame, refuse
from tests.unit.live.stage import QUICK, Stage
from tests.unit.live.toy import Toy, ToyExchange

BYE = frame(b'{"say":"maintenance in 30 s","then":"bye"}')


@pytest.fixture
def exchange() -> Iterator[ToyExchange]:
    with ToyExchange() as exchange:
        yield exchange


def stage_of(exchange: ToyExchange, venue: Toy | None = None, limits: Limits = QUICK) -> Stage:
    return Stage(exchange, account=exchange.account(venue), limits=limits)


def order(number: int) -> bytes:
    return b'{"topic":"orders","id":"%d"}' % number


def answer_ping(line: Line) -> None:
    """Answer the next heartbeat."""
    assert line.receive_text() == b"ping"
    line.send(frame(b"pong"))


def payloads(stage: Stage, session_id: int) -> list[bytes]:
    """The updates received in a session."""
    frames = [one.frame for one in stage.frames(PUSH) if one.frame.session_id == session_id]
    return [one.payload for one in frames if one.topic == "orders"]


@pytest.mark.parametrize("why", ["age", "notice"])
def test_a_connection_is_replaced_by_one_that_is_covered_before_it_ends(exchange: ToyExchange, why: str) -> None:
    toy = Toy()
    toy.connection_max_s = 0.3 if why == "age" else None
    with stage_of(exchange, toy) as stage:
        old = exchange.covered()
        stage.wait_entry(Covered)
        if why == "notice":
            old.send(BYE)
        new = exchange.logged_in()
        # Both are recorded, whatever comes first; the new one is not covered yet.
        old.send(frame(order(1)))
        stage.wait_payload(order(1))
        for command_id in ("1", "2"):
            new.receive_text()
            new.send(frame(b'{"id":"%s"}' % command_id.encode()))
        second = stage.wait_entry(Covered, 2)
        assert stage.entries(SessionEnded) == []
        new.send(frame(order(2)))
        stage.wait_payload(order(2))
        assert stage.collector.state == "covered"
        # The old one ends once its answer shows that it has missed nothing; a push shows nothing.
        old.send(frame(order(2)))
        answer_ping(old)
        ended = stage.wait_entry(SessionEnded)
        new.send(frame(order(3)))
        stage.wait_payload(order(3))
        session = stage.collector.session
        assert session is not None and session.session_id == second.session_id
        if why == "age":
            exchange.covered().send(frame(order(4)))
            stage.wait_payload(order(4))
    first = stage.entries(SessionOpened)[0]
    assert (ended.session_id, ended.reason, ended.covered) == (first.session_id, "replaced", True)
    assert ended.last_received_ns >= second.received_ns
    assert payloads(stage, first.session_id) == [order(1), order(2)]
    assert payloads(stage, second.session_id) == [order(2), order(3)]
    order_of_entries = [stage.items.index(one) for one in (second, ended)]
    assert order_of_entries == sorted(order_of_entries), "covered first"


@pytest.mark.parametrize("failure", ["unreachable", "lost", "refused", "never covered"])
def test_if_the_new_connection_fails_the_old_one_goes_on(
    exchange: ToyExchange, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.live.collector.REFUSED_S", 0.05)
    with stage_of(exchange, limits=replace(QUICK, subscribe_s=0.3)) as stage:
        old = exchange.covered()
        stage.wait_entry(Covered)
        if failure == "unreachable":
            exchange.answers["GET /orders"] = [refuse("503 Unavailable"), refuse("401 No")]
        old.send(BYE)
        if failure != "unreachable":
            new = exchange.logged_in()
            if failure == "lost":
                new.reset()
            elif failure == "refused":
                new.send(frame(b'{"id":"login","no":"too many"}'))
            ended = stage.wait_entry(SessionEnded)
            assert (ended.session_id, ended.covered) == (stage.entries(SessionOpened)[1].session_id, False)
        old.send(frame(order(1)))
        stage.wait_payload(order(1))
        # It is tried again.
        exchange.covered()
        last = stage.wait_entry(Covered, 2)
        answer_ping(old)
        replaced = stage.wait_entry(SessionEnded, 1 if failure == "unreachable" else 2)
        assert stage.collector.failure is None
    first = stage.entries(SessionOpened)[0]
    assert (replaced.session_id, replaced.reason) == (first.session_id, "replaced")
    assert payloads(stage, first.session_id) == [order(1)]
    assert last.session_id == stage.entries(SessionOpened)[-1].session_id


def test_if_the_old_connection_ends_first_the_new_one_goes_on(exchange: ToyExchange) -> None:
    with stage_of(exchange) as stage:
        old = exchange.covered()
        stage.wait_entry(Covered)
        old.send(BYE)
        new = exchange.logged_in()
        old.reset()
        ended = stage.wait_entry(SessionEnded)
        for command_id in ("1", "2"):
            new.receive_text()
            new.send(frame(b'{"id":"%s"}' % command_id.encode()))
        stage.wait_entry(Covered, 2)
        assert stage.collector.sessions == 2
    assert (ended.reason, ended.covered) == ("lost", True)


@pytest.mark.parametrize("end", ["lost", "stopped", "unanswered"])
def test_what_is_read_late_from_the_old_connection_does_not_hide_what_it_missed(
    exchange: ToyExchange, end: str
) -> None:
    """The exchange may have sent it before the new connection was covered, and have lost the old one since."""
    with stage_of(exchange, limits=replace(QUICK, silent_s=0.3) if end == "unanswered" else QUICK) as stage:
        old = exchange.covered()
        stage.wait_entry(Covered)
        old.send(frame(order(1)))
        stage.wait_payload(order(1))
        old.send(BYE)
        exchange.covered()
        second = stage.wait_entry(Covered, 2)
        old.send(frame(order(2)))
        stage.wait_payload(order(2))
        if end == "lost":
            old.reset()
        first = stage.entries(SessionOpened)[0].session_id
        if end != "stopped":
            # If nothing answers, the new one may be given up first.
            stage.wait(lambda: first in [one.session_id for one in stage.entries(SessionEnded)])
    (ended,) = (one for one in stage.entries(SessionEnded) if one.session_id == first)
    assert payloads(stage, ended.session_id) == [order(1), order(2)]
    assert ended.last_received_ns < second.received_ns


def test_a_stop_in_the_overlap_keeps_what_both_received(exchange: ToyExchange) -> None:
    with stage_of(exchange, Toy(None)) as stage:
        old = exchange.covered()
        stage.wait_entry(Covered)
        old.send(BYE)
        new = exchange.covered()
        stage.wait_entry(Covered, 2)
        assert old.receive()[0] == PING
        new.send(frame(order(1)))
        old.send(frame(order(1)), frame(b"1", PONG)[:3])
        stage.wait(lambda: stage.received().count(order(1)) == 2)
    assert {one.reason for one in stage.entries(SessionEnded)} <= {"stopped", "replaced"}
    assert len(stage.entries(SessionEnded)) == 2


def test_silence_on_a_repeated_topic_ends_the_connection(exchange: ToyExchange) -> None:
    toy = Toy()
    toy.repeated_topics = {"status": 0.4, "fills": 0.1}
    with stage_of(exchange, toy) as stage:
        line = exchange.covered()
        stage.wait_entry(Covered)
        for _ in range(3):
            line.send(frame(b'{"topic":"status"}'), frame(order(1)))
            stage.wait(lambda: stage.received()[-1:] == [order(1)])
        ended = stage.wait_entry(SessionEnded)
        exchange.covered()
    assert (ended.reason, ended.detail) == ("silent", "nothing came for topic status in 0.4 s")
    assert ended.covered
