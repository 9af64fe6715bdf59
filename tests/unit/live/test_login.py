"""What a connection to a living exchange needs: login, tokens, secrets that are masked, signs of life."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from threading import Event, Lock

import pytest

from recorder.clock import Clock
from recorder.errors import Refused, Unavailable, Unreachable
from recorder.live import collector as collecting
from recorder.live import connection as connecting
from recorder.live.connection import Attempt, Connector
from recorder.live.settings import Account
from recorder.live.wake import Wake
from recorder.model import CONTROL, PUSH, SENT, UNDECODED
from recorder.store.entries import Covered, SessionEnded, SessionOpened
from recorder.venues.rest import Token
from tests.unit.live.peer import PATIENCE_S, PING, PONG, TEXT, frame, refuse
from tests.unit.live.stage import QUICK, Stage
from tests.unit.live.toy import KEY, LOGGED_IN, SECRET, SESSION, Toy, ToyExchange
from tests.waiting import wait_until

ORDER = b'{"topic":"orders","id":"1"}'
TOKEN = "token-1-of-the-toy"


@pytest.fixture
def exchange() -> Iterator[ToyExchange]:
    with ToyExchange() as exchange:
        yield exchange


def stage_of(exchange: ToyExchange, venue: Toy | None = None, silent_s: float = 40.0) -> Stage:
    return Stage(exchange, account=exchange.account(venue), limits=replace(QUICK, silent_s=silent_s))


def test_login_and_acknowledgements_by_command(exchange: ToyExchange) -> None:
    with stage_of(exchange) as stage:
        line = exchange.covered()
        entry = stage.wait_entry(Covered)
        line.send(frame(ORDER))
        stage.wait_payload(ORDER)
    assert (entry.topics, entry.refused) == (("orders", "status"), {})
    (opened,) = stage.entries(SessionOpened)
    assert (opened.stream, opened.url) == ("orders", f"ws://127.0.0.1:{exchange.port}/orders")
    assert stage.received()[:2] == [b"welcome to the toy", b""]
    assert exchange.asked == ["POST /token"]
    assert f"/orders?token={TOKEN} " in exchange.requests.queue[-1].decode()


def test_a_topic_refused_in_prose_is_a_gap_of_its_own(exchange: ToyExchange) -> None:
    with stage_of(exchange) as stage:
        line = exchange.logged_in()
        line.send(frame(b'{"id":"1","no":"you may not, %s"}' % SECRET.encode()), frame(b'{"id":"2"}'))
        entry = stage.wait_entry(Covered)
    assert entry.refused == {"orders": "you may not, ***"}


def test_a_login_that_is_refused_at_first_ends_the_run(exchange: ToyExchange) -> None:
    with stage_of(exchange) as stage:
        exchange.line().send(frame(b'{"id":"login","no":"no such key: %s"}' % KEY.encode()))
        assert stage.ended.wait(PATIENCE_S)
        stage.collector.join(PATIENCE_S)
        assert isinstance(stage.collector.failure, Refused)
        assert str(stage.collector.failure) == (
            "The exchange refused the login: no such key: ***; check key and secret."
        )
    assert stage.entries(SessionEnded)[0].reason == "refused"


def test_a_login_that_expires_is_made_again_and_one_refused_then_is_tried_slowly(
    exchange: ToyExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "REFUSED_S", 0.3)
    expired = b'{"id":"login","no":"expired"}'
    with stage_of(exchange) as stage:
        line = exchange.covered()
        stage.wait_entry(Covered)
        line.send(frame(expired))
        exchange.line().send(frame(expired))
        refused = stage.wait_entry(SessionEnded, 2)
        exchange.covered()
        again = stage.wait_entry(SessionOpened, 3)
        assert stage.collector.failure is None
    first, second, *_ = stage.entries(SessionEnded)
    assert [first.covered, second.covered] == [True, False]
    opened = stage.entries(SessionOpened)
    assert opened[1].opened_ns - first.ended_ns < 0.2e9, "it worked until now"
    assert again.opened_ns - refused.ended_ns >= 0.3e9


@pytest.mark.parametrize("refusal", ["login", "upgrade"])
def test_a_key_that_is_refused_after_the_connection_was_lost_proves_only_the_last_push(
    exchange: ToyExchange, refusal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been revoked long before, and the connection have been left open, its pings answered."""
    monkeypatch.setattr(collecting, "REFUSED_S", 0.3)
    with stage_of(exchange, Toy(heartbeat_s=0.05)) as stage:
        line = exchange.covered()
        line.send(frame(ORDER))
        stage.wait_payload(ORDER)
        assert line.receive() == (TEXT, b"ping")
        line.send(frame(b"pong"))
        stage.wait_payload(b"pong")
        if refusal == "upgrade":
            exchange.answers["GET /orders"] = [refuse("401 No")]
        line.reset()
        lost = stage.wait_entry(SessionEnded)
        if refusal == "login":
            exchange.line().send(frame(b'{"id":"login","no":"no such key"}'))
        stage.wait(lambda: len([one for one in stage.entries(SessionEnded) if one.covered]) == 2)
        again = [one for one in stage.entries(SessionEnded) if one.covered][1]
        # It counts once, and no more when the key is restored.
        exchange.covered()
        stage.wait_entry(Covered, 2)
    (push,) = [one.frame for one in stage.frames(PUSH) if one.frame.payload == ORDER]
    assert (lost.reason, again.reason) == ("lost", "key refused")
    assert again.detail == f"the exchange refuses the key; lost: {lost.detail}"
    assert (again.last_seq, again.last_received_ns) == (push.seq, push.received_ns) < (lost.last_seq, 2**63)
    assert (again.session_id, again.ended_ns) == (lost.session_id, lost.ended_ns)
    assert [one.session_id for one in stage.entries(SessionEnded)].count(lost.session_id) == 2


def test_a_sign_of_life_is_given_at_once(exchange: ToyExchange) -> None:
    with stage_of(exchange):
        line = exchange.covered()
        line.send(frame(b'{"ask":"4711"}'))
        assert json.loads(line.receive_text()) == {"here": "4711"}


def test_a_pong_answers_a_heartbeat(exchange: ToyExchange) -> None:
    """It keeps the session alive, and says that everything before it has been received."""
    with stage_of(exchange, Toy(None, 0.4), silent_s=2.0) as stage:
        line = exchange.covered()
        stage.wait_entry(Covered)
        line.send(frame(ORDER))
        for number in range(1, 9):
            assert line.receive() == (PING, b"%d" % number)
            line.send(frame(b"0", PONG), frame(b"%d" % number, PONG))
        opcode, payload = line.receive()
        stage.take()
        session = stage.collector.session
        assert session is not None
        assert (opcode, session.answered) == (PING, (8, stage.frames(PUSH)[-1].frame.seq))
        ended = stage.wait_entry(SessionEnded)
    assert payload == b"9"
    assert (ended.reason, ended.detail) == ("silent", "nothing came for 2 s")
    assert ended.last_received_ns > stage.frames(PUSH)[-1].frame.received_ns + 0.5e9, "the last pong"


def test_a_heartbeat_of_bare_text(exchange: ToyExchange) -> None:
    with stage_of(exchange, Toy(heartbeat_s=0.05)) as stage:
        line = exchange.covered()
        assert line.receive() == (TEXT, b"ping")
        line.send(frame(b"pong"))
        stage.wait_payload(b"pong")
        session = stage.collector.session
        assert session is not None and session.answered.number == 1


def test_secrets_in_frames_are_masked_and_the_rows_say_so(
    exchange: ToyExchange, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    echoed = json.dumps({"nobody knows": [SECRET, KEY, TOKEN, SESSION]}).encode()
    broken = b"\xff" + SECRET.encode() + b"x" * 400
    with stage_of(exchange) as stage:
        line = exchange.covered()
        line.send(frame(echoed), frame(broken), frame(b'{"say":"bye %s"}' % TOKEN.encode()), frame(ORDER))
        line.send(frame(b"\x03\xe8" + SESSION.encode(), 8))
        ended = stage.wait_entry(SessionEnded)
    assert ended.detail == "1000 ***"
    for secret in (SECRET, KEY, TOKEN, SESSION):
        assert secret not in caplog.text
        assert secret not in repr(stage.items)
    rows = {one.frame.payload: one.frame for one in stage.frames()}
    masked = "(secret masked)"
    login = stage.frames(SENT)[0].frame
    assert (json.loads(login.payload)["sign"], login.topic, login.status) == ("***", masked, CONTROL)
    assert rows[LOGGED_IN.replace(SESSION.encode(), b"***")].topic == masked
    for payload in (b'{"nobody knows": ["***", "***", "***", "***"]}', b"\xff***" + b"x" * 400):
        assert (rows[payload].topic, rows[payload].status) == (masked, UNDECODED)
    assert rows[ORDER].topic == "orders"
    assert stage.frames(SENT)[1].frame.topic is None


def test_a_token_is_renewed_while_the_connection_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "RENEW_FIRST_S", 0.02)
    renewal = f"PUT /token/{TOKEN}"
    with ToyExchange(renew_s=0.2) as exchange:
        exchange.answers[renewal] = [refuse("404 Not Found", body=b"<html>"), refuse("200 OK", body=b"{}")]
        another = b'{"token":"another-token","renew_s":1.0}'
        exchange.answers[renewal].append(refuse("200 OK", body=another))
        exchange.answers["PUT /token/another-token"] = [refuse("404 Not Found", body=b'{"gone":"another-token"}')]
        with stage_of(exchange) as stage:
            line = exchange.covered()
            wait_until(lambda: "another-token" in stage.account.credentials.secrets)
            line.send(frame(b'{"nobody":"another-token"}'))
            ended = stage.wait_entry(SessionEnded)
            exchange.covered()
    assert exchange.asked[:5] == ["POST /token", *[renewal] * 3, "PUT /token/another-token"]
    assert exchange.asked[5] == "POST /token"
    assert (ended.reason, ended.covered) == ("token", True)
    assert ended.detail == f'{exchange.url}/token/*** does not accept the request: HTTP 404 {{"gone":"***"}}.'
    assert b'{"nobody":"***"}' in stage.received()


@pytest.mark.parametrize("answer", [refuse("401 No"), refuse("200 OK", body=b"the-token: x")])
def test_without_a_token_there_is_no_connection(exchange: ToyExchange, answer: object) -> None:
    assert callable(answer)
    exchange.answers["POST /token"] = [answer]
    with stage_of(exchange) as stage:
        assert stage.ended.wait(PATIENCE_S)
        stage.collector.join(PATIENCE_S)
        assert isinstance(stage.collector.failure, Refused | Unreachable)
        assert SECRET not in str(stage.collector.failure) and "the-token" not in str(stage.collector.failure)
    assert stage.items == []


class WatchedLock:
    """A lock that tells when somebody has to wait for it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.waited_for = Event()

    def acquire(self, timeout: float) -> bool:
        if self._lock.acquire(blocking=False):
            return True
        self.waited_for.set()
        return self._lock.acquire(timeout=timeout)

    def release(self) -> None:
        self._lock.release()


def test_two_streams_request_their_tokens_one_after_the_other(
    exchange: ToyExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the number of one request might arrive behind the greater one of the other, and be refused."""
    account, lock, may_end = exchange.account(), WatchedLock(), Event()
    monkeypatch.setattr(account.credentials._nonces, "_turn", lock)
    begun: list[str] = []

    def asking(account: Account, *_args: object) -> Token:
        begun.append("begun")
        assert may_end.wait(PATIENCE_S)
        raise Unavailable("no token for now")

    monkeypatch.setattr(connecting, "ask", asking)
    wake = Wake()
    connectors = [Connector(account, one, wake, Clock(), QUICK, lambda: None) for one in account.streams]
    attempts = [Attempt(one, lambda: None) for one in connectors]
    assert lock.waited_for.wait(PATIENCE_S)
    assert begun == ["begun"]
    may_end.set()
    for one in attempts:
        with pytest.raises(Unavailable):
            one.wait()
    assert begun == ["begun", "begun"]
    # One that takes long holds up no other for ever.
    monkeypatch.setattr(connecting, "TURN_S", 0.01)
    assert lock.acquire(1.0)
    with pytest.raises(Unavailable):
        connectors[0].connect()
    wake.close()
