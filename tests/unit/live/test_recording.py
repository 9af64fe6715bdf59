"""A run: what is started in which order, and how it is stopped."""

import gc
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recorder.audit.evidence.checkpoint import checkpoints_in, read_checkpoint
from recorder.audit.evidence.keys import new_key
from recorder.clock import Clock
from recorder.errors import DatabaseBusy, DatabaseError, InternalError, NotDurable, Refused, Unreachable
from recorder.live.reconciler import Retry
from recorder.live.recording import Recording
from recorder.live.settings import Account, Checkpoints, Limits
from recorder.live.watermark import Watermark
from recorder.simulator import Simulator, SimulatorOptions
from recorder.store.merkle import root_of
from recorder.venues import venue_named
from recorder.venues.limits import Connections
from recorder.venues.rest import Credentials
from tests.samples import HYPERLIQUID
from tests.unit.live.peer import PATIENCE_S, Peer, refuse
from tests.unit.live.stage import account_of

KEY = new_key("audit")

#: By an exchange of a hundred pushes, to one account: hello, the topics, and those.
PUSHED = 2 + 100

#: A stop that is held up may take so long, seconds.
STOP_S = 3.0


@pytest.fixture
def exchange() -> Iterator[Simulator]:
    """A hundred pushes as fast as they are read, then nothing more."""
    with Simulator(SimulatorOptions(pushes=100)) as simulator:
        yield simulator


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recorder.db"


def account(exchange: Simulator, name: str = "main", secret: str | None = None) -> Account:
    credentials = Credentials(key=exchange.key, secret=secret or exchange.secret)
    return Account(
        name=name, venue=venue_named("fmex"), url=exchange.url, credentials=credentials, symbols=("btcusd_p",)
    )


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute(sql).fetchall()


def durable(path: Path, pushes: int = PUSHED) -> tuple[Callable[[Watermark], None], threading.Event]:
    """An event that is set when so many pushes are durable."""
    reached = threading.Event()

    def tell(_: Watermark) -> None:
        # Not the watermark's frames: how often REST was asked, depends on how things were just then.
        if rows(path, "SELECT count(*) FROM frames WHERE source = 'push'")[0][0] >= pushes:
            reached.set()

    return tell, reached


def test_a_run_from_end_to_end(path: Path, exchange: Simulator) -> None:
    tell, reached = durable(path)
    with Recording(f"sqlite:///{path}", [account(exchange)], on_durable=tell) as recording:
        assert reached.wait(PATIENCE_S)
        assert not recording.wait(0)
        state = recording.state()
        assert state.frames > PUSHED
        assert state.frames_durable + state.frames_waiting == state.frames
        assert state.sessions == {"main": "covered"}
        assert 0 <= recording.idle_s() < PATIENCE_S
    told = [sent.payload for sent in exchange.sent]
    assert [
        payload for (payload,) in rows(path, "SELECT payload FROM frames WHERE source = 'push' ORDER BY seq")
    ] == told
    assert rows(path, "SELECT end_reason FROM runs") == [("stopped",)]
    assert rows(path, "SELECT end_reason FROM sessions") == [("stopped",)]
    assert rows(path, "SELECT reason, ends_ns IS NULL FROM gaps ORDER BY gap_id") == [("beginning", 0), ("stopped", 1)]
    state = recording.state()  # it can be asked afterwards
    assert rows(path, "SELECT count(*) FROM frames") == [(state.frames_durable,)]
    assert (state.frames_waiting, state.lag_ms) == (0, 0)


def test_an_address_with_other_capitals_is_the_same_account(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Simulator(SimulatorOptions(venue="hyperliquid", pushes=3)) as exchange:
        address = exchange.credentials["address"]
        for spelled in (address, "0x" + address[2:].upper()):
            mine = replace(
                account(exchange), venue=HYPERLIQUID, symbols=(), credentials=Credentials({"address": spelled})
            )
            with Recording(f"sqlite:///{path}", [mine]):
                pass
    assert "two API keys" not in caplog.text
    assert rows(path, "SELECT count(*), count(DISTINCT fingerprint) FROM credentials") == [(1, 1)]
    assert rows(path, "SELECT count(*) FROM runs") == [(2,)]


def test_pushes_one_after_the_other_do_not_wait_for_company(path: Path) -> None:
    tell, reached = durable(path, 2 + 30)
    with Simulator(SimulatorOptions(pushes=30, rate_per_s=100)) as exchange:
        limits = Limits(batch_ms=int(PATIENCE_S * 10_000))
        with Recording(f"sqlite:///{path}", [account(exchange)], limits, on_durable=tell):
            assert reached.wait(PATIENCE_S)


def test_a_thread_that_ends_by_itself_wakes_whoever_waits(path: Path, exchange: Simulator) -> None:
    with (
        pytest.raises(Refused),
        Recording(f"sqlite:///{path}", [account(exchange, secret="wrong")]) as recording,
    ):
        assert recording.wait(PATIENCE_S)
    assert rows(path, "SELECT end_reason FROM runs") == [("failed",)]
    assert rows(path, "SELECT count(*) FROM sessions") == [(0,)]


@pytest.mark.parametrize("wrong", ["exchange", "lock", "database"])
def test_what_cannot_work_leaves_nothing_behind(path: Path, exchange: Simulator, wrong: str) -> None:
    url = f"sqlite:///{path}"
    with Peer(refuse("404 Not Found")) as nobody:
        if wrong == "exchange":
            recording = Recording(url, [account_of(nobody)])
            with pytest.raises(Unreachable), recording:
                pass
            assert not path.exists()
        elif wrong == "lock":
            with Recording(url, [account(exchange)]):
                recording = Recording(url, [account(exchange)])
                with pytest.raises(DatabaseBusy, match="Another recorder is writing to"), recording:
                    pass
        else:
            path.write_bytes(b"no database" * 100)
            recording = Recording(url, [account(exchange)])
            with pytest.raises(DatabaseError, match="is not a SQLite database"), recording:
                pass
    # The lock is free again, and no socket is left open: one that is would be a warning here, and so a failure.
    assert recording.wake._reader.fileno() == -1
    path.unlink(missing_ok=True)
    with Recording(url, [account(exchange)]):
        pass
    gc.collect()


def test_what_a_crash_left_is_closed_by_the_next_run(
    path: Path, exchange: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{path}"
    tell, reached = durable(path)
    with Recording(url, [account(exchange)], on_durable=tell):
        assert reached.wait(PATIENCE_S)
    # As a process leaves it that dies: nothing after the last commit with frames.
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE sessions SET ended_ns = NULL, end_reason = NULL")
        database.execute("UPDATE runs SET ended_ns = NULL, end_reason = NULL")
        database.execute("DELETE FROM gaps WHERE reason = 'stopped'")
    # Read now: the next run may receive pushes before it ends.
    (last_ns,) = rows(path, "SELECT max(received_ns) FROM frames WHERE source = 'push'")[0]
    with Recording(url, [account(exchange)]):
        pass
    assert "the last run ended without closing session" in caplog.text
    assert (last_ns, "crashed") in rows(path, "SELECT begins_ns, reason FROM gaps")
    assert rows(path, "SELECT end_reason FROM runs ORDER BY run_id") == [("crashed",), ("stopped",)]


def test_a_fault_of_ours_is_said_to_be_one(path: Path, exchange: Simulator) -> None:
    def fail(watermark: Watermark) -> None:
        if watermark.batch:
            raise ZeroDivisionError("a bug")

    with (
        pytest.raises(InternalError, match=r"has a bug and stopped \(ZeroDivisionError: a bug\)") as raised,
        Recording(f"sqlite:///{path}", [account(exchange)], on_durable=fail) as recording,
    ):
        assert recording.wait(PATIENCE_S)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert raised.value.exit_code == 70


def test_a_database_that_takes_nothing_does_not_hold_a_stop(
    path: Path, exchange: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.store.sqlite.BUSY_TIMEOUT_MS", 20)
    tell, reached = durable(path)
    began_s = 0.0
    with pytest.raises(NotDurable, match=r"Stopped with \d+ frames or more not written: the record ends"), closing(
        sqlite3.connect(path, isolation_level=None)
    ) as other, Recording(
        f"sqlite:///{path}", [account(exchange)], limits=Limits(stop_s=0.5), on_durable=tell
    ):  # fmt: skip
        assert reached.wait(PATIENCE_S)
        other.execute("BEGIN IMMEDIATE")
        began_s = Clock().monotonic_s()
    assert Clock().monotonic_s() - began_s < 2.0
    # The session's end could not be written: the next run finds it open, and closes it.
    assert rows(path, "SELECT ended_ns FROM sessions") == [(None,)]


def test_many_accounts_that_cannot_connect_do_not_hold_a_stop(path: Path) -> None:
    """Each handshake hangs; a stop has one time for all of them together."""
    over = threading.Event()

    def hang(request: bytes) -> bytes:
        if b"server-time" in request:
            return refuse("200 OK", body=b'{"data":%d}' % Clock().wall_ms())(request)
        over.wait(PATIENCE_S)
        return b""

    with Peer(hang) as deaf:
        accounts = [replace(account_of(deaf), name=f"account-{number}") for number in range(8)]
        with Recording(f"sqlite:///{path}", accounts, limits=Limits(stop_s=STOP_S)) as recording:
            deaf.requests.get(timeout=PATIENCE_S)
            assert set(recording.state().sessions.values()) == {"connecting"}
            began_s = Clock().monotonic_s()
        assert Clock().monotonic_s() - began_s < STOP_S
        over.set()
        for thread in threading.enumerate():
            if thread.name.startswith("collector account-"):
                thread.join(PATIENCE_S)
    assert rows(path, "SELECT end_reason FROM runs") == [("stopped",)]


def test_accounts_do_not_disturb_each_other(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    accounts = {"k1": "s1", "k2": "s2"}
    tell, reached = durable(path, 2 * PUSHED)
    with Simulator(SimulatorOptions(accounts=accounts, pushes=100)) as exchange:
        named = [
            replace(account(exchange), name=f"of-{key}", credentials=Credentials(key=key, secret=secret))
            for key, secret in accounts.items()
        ]
        with Recording(f"sqlite:///{path}", named, on_durable=tell) as recording:
            assert reached.wait(PATIENCE_S)
            assert recording.state().sessions == {"of-k1": "covered", "of-k2": "covered"}
    sql = "SELECT count(*) FROM frames JOIN accounts USING (account_id) WHERE source = 'push' GROUP BY name"
    assert rows(path, sql) == [(PUSHED,), (PUSHED,)]
    assert "of-k1: covered, 3 topics acknowledged" in caplog.text


@pytest.mark.parametrize(("open_max", "by_hand", "is_warned"), [(1, None, True), (2, None, False), (1, Retry(), False)])
def test_sockets_that_the_exchange_will_refuse_are_warned_of(
    path: Path,
    exchange: Simulator,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    open_max: int,
    by_hand: Retry | None,
    is_warned: bool,
) -> None:
    """What is asked by hand opens none."""
    with Recording(f"sqlite:///{path}", [account(exchange)]):
        pass
    monkeypatch.setattr(venue_named("fmex"), "connections", Connections(open_max=open_max))
    with Recording(f"sqlite:///{path}", [account(exchange), account(exchange, "other")], by_hand=by_hand):
        pass
    assert ("need 2: it will refuse some of them" in caplog.text) == is_warned


def test_a_run_that_is_signed(path: Path, exchange: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint of its end covers its end; the command that it goes to knows no secret."""
    monkeypatch.setenv("FMEX_SECRET", f" {exchange.secret}\n")
    monkeypatch.setenv("AUDIT_KEY", KEY.text)
    monkeypatch.setenv("GREETING", "hello")
    tell, reached = durable(path)
    out, env = path.parent / "out", path.parent / "env"
    settings = Checkpoints(key=KEY, file=out, command=("sh", "-c", f"env >> {env}"))
    with Recording(f"sqlite:///{path}", [account(exchange)], on_durable=tell, checkpoints=settings) as recording:
        assert reached.wait(PATIENCE_S)
    ended = rows(path, "SELECT batch FROM event_log WHERE body LIKE '%RunEnded%'")
    seals = [seal for (seal,) in rows(path, "SELECT seal FROM seals ORDER BY batch")]
    last = read_checkpoint(checkpoints_in(out.read_text())[-1], KEY.verifier)
    ((recorder_id,),) = rows(path, "SELECT recorder_id FROM recorders")
    assert last == (f"recorder/{recorder_id}", len(seals) - 1, root_of(seals[:-1]))
    assert ended == [(last.size - 1,)]
    assert rows(path, "SELECT max(size) FROM checkpoints") == [(last.size,)]
    assert recording.state().frames_waiting == 0
    known = env.read_text()
    assert "GREETING=hello" in known
    assert exchange.secret not in known
    assert exchange.key not in known
    assert KEY.text not in known


def test_a_checkpointer_with_a_bug_ends_no_run_but_is_told(
    path: Path, exchange: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.audit.evidence.tree.Tree.begin", lambda tree, connection: 1 / 0)
    tell, reached = durable(path)
    settings = Checkpoints(key=KEY, file=path.parent / "out")
    with (
        pytest.raises(InternalError, match=r"has a bug and made no more checkpoints \(ZeroDivisionError"),
        Recording(f"sqlite:///{path}", [account(exchange)], on_durable=tell, checkpoints=settings) as recording,
    ):
        assert reached.wait(PATIENCE_S)
        assert not recording.wait(0)
    assert rows(path, "SELECT end_reason FROM runs") == [("stopped",)]
