"""Checkpoints of a run: what is signed when, what is not, and whatever may be slow or away."""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509 import Certificate

from recorder.audit.evidence.checkpoint import Checkpoint, checkpoints_in, read_checkpoint
from recorder.audit.evidence.keys import new_key
from recorder.audit.evidence.timestamp import read_token
from recorder.clock import Clock
from recorder.live import checkpointer as checkpointer_module
from recorder.live.channel import Channel
from recorder.live.checkpointer import Checkpointer, LastSeal
from recorder.live.settings import Authority as Asked
from recorder.live.settings import Checkpoints
from recorder.model import time_ordered_id
from recorder.store import migrate
from recorder.store.engine import open_engine
from recorder.store.entries import CheckpointMade, LogEntry, RunEnded, RunStarted
from recorder.store.journal import OPENING, Batch
from recorder.store.merkle import root_of
from recorder.store.opening import open_run
from tests.authority import Authority, Stamper, refusal
from tests.made import NOON_NS, quick_engine, received, unguard
from tests.unit.live.peer import PATIENCE_S

KEY = new_key("audit")


class Run:
    """A run into a file, its writer played by the test, with a checkpointer that is started when the test likes.

    Args:
        path: of the file; there may have been runs before.
        settings: what is not said is the key, a file `out` beside it, and an interval that no test waits for.
    """

    def __init__(self, path: Path, **settings: Any) -> None:
        self.out = path.parent / "out"
        self.url = f"sqlite:///{path}"
        self.engine = quick_engine(self.url)
        migrate.require_usable(self.engine)
        with self.engine.begin() as connection:
            started = RunStarted(time_ordered_id(NOON_NS), 0, NOON_NS, "here", 1, "0")
            run, self._seal, _ = open_run(connection, self.url, started, ())
        self.recorder_id, self.run_id = run.recorder_id, run.run_id
        self._number = OPENING
        self.ready = threading.Event()
        self.channel = Channel(self.ready, 10, 10)
        chosen: dict[str, Any] = {"key": KEY, "file": self.out, "every_s": 1_000.0} | settings
        self.checkpointer = Checkpointer(
            Checkpoints(**chosen),
            LastSeal(run.recorder_id, run.run_id, OPENING, self._seal),
            open_engine(self.url, read_only=True),
            self.channel,
            Clock(),
            os.environ,
        )

    def commit(self, *entries: LogEntry, frames: int = 0) -> None:
        """As the writer does: write a batch, then tell."""
        self._number += 1
        batch = Batch(self.recorder_id, self.run_id, self._number, self._seal)
        batch.entries += entries
        for seq in range(frames):
            batch.add(*received(self._number * 1_000 + seq, session_id=self.run_id))
        with self.engine.begin() as connection:
            batch.write(connection, NOON_NS)
        self._seal = batch.seal
        self.checkpointer.sealed(batch)

    def start(self) -> "Run":
        self.checkpointer.start()
        return self

    def told(self) -> CheckpointMade:
        """The next entry for the event log, committed as the writer does."""
        taken: list[Any] = []
        while not taken:
            assert self.ready.wait(PATIENCE_S)
            self.ready.clear()
            taken = self.channel.take(10, 10)
        (entry,) = taken
        assert isinstance(entry, CheckpointMade)
        self.commit(entry)
        return entry

    def settle(self) -> None:
        """Wait until what was signed has arrived, or failed to: a newer note takes the place of one that waits."""
        for sender in self.checkpointer._senders:
            assert sender._settled.wait(PATIENCE_S)

    def stop(self, within_s: float = PATIENCE_S) -> CheckpointMade | None:
        """As a recording stops; returns the last checkpoint."""
        self.checkpointer.stop(Clock().monotonic_s() + within_s)
        self.checkpointer.join(PATIENCE_S)
        assert not self.checkpointer.is_alive()
        self.commit(RunEnded(self.run_id, NOON_NS, "stopped"))
        last = self.checkpointer.last()
        if last is not None:
            self.commit(last)
        self.checkpointer.finish()
        return last

    def seals(self) -> list[bytes]:
        """Of all runs, as they are in the file."""
        with self.engine.connect() as connection:
            found = connection.exec_driver_sql("SELECT seal FROM seals ORDER BY run_id, batch")
            return list(found.scalars())

    def arrived(self) -> list[Checkpoint]:
        """What is in the file elsewhere, checked."""
        return [read_checkpoint(note, KEY.verifier) for note in checkpoints_in(self.out.read_text())]

    def require_true(self, made: CheckpointMade | None) -> None:
        """It is signed, and is the tree of the seals as they lie there."""
        assert made is not None
        signed = read_checkpoint(made.note, KEY.verifier)
        assert signed == (f"recorder/{self.recorder_id}", made.size, root_of(self.seals()[: made.size]))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recorder.db"


@pytest.fixture
def authority() -> Iterator[Authority]:
    with Authority() as authority:
        yield authority


def asked(authority: Authority, *roots: Certificate) -> Asked:
    return Asked(authority.url, roots or (authority.stamper.root,))


def rounds(run: Run, count: int) -> None:
    """So many intervals pass, one after the other, without waiting for the time."""
    for _ in range(count):
        run.checkpointer._at_interval()


def test_a_run_is_signed_at_its_beginning_and_its_end(path: Path) -> None:
    run = Run(path).start()
    first = run.told()
    run.settle()
    assert first.size == 1, "the batch that opened the run: at once, so that what is wrong shows at once"
    run.commit(frames=20)
    last = run.stop()
    assert last is not None
    assert last.size == 4, "that of the opening, of the first checkpoint, of the frames, of the run's end"
    assert len(run.seals()) == 5, "and the note of the last makes one more"
    for made in (first, last):
        run.require_true(made)
        assert made.recorder_id == run.recorder_id
        assert made.token is None
    assert [one.size for one in run.arrived()] == [1, 4]
    assert abs(last.made_ns - Clock().wall_ns()) < 60 * 10**9


def test_an_interval_brings_another_one(path: Path) -> None:
    run = Run(path, every_s=0.02).start()
    sizes = []
    for _ in range(3):
        sizes.append(run.told().size)
        run.commit(frames=1)
    last = run.stop()
    assert last is not None
    assert sizes == sorted(set(sizes))
    run.require_true(last)


def test_nothing_new_is_not_signed_again(path: Path) -> None:
    """Neither is the note of a checkpoint itself: each would make the next one."""
    run = Run(path)
    assert run.checkpointer._read_tree()
    rounds(run, 1)
    run.told()
    rounds(run, 5)
    assert run.channel.is_empty
    run.commit(frames=1)
    rounds(run, 5)
    assert run.told().size == 3
    run.commit(RunEnded(run.run_id, NOON_NS, "x"))
    rounds(run, 5)
    run.told()
    rounds(run, 5)
    assert run.channel.is_empty


def test_what_is_sealed_while_earlier_seals_are_read_is_not_lost(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.audit.evidence.tree.CHUNK", 2)
    monkeypatch.setattr(checkpointer_module, "BREATH_S", 0.0)
    before = Run(path)
    for _ in range(7):
        before.commit(frames=1)
    run = Run(path)
    reading, going = threading.Event(), threading.Event()
    read = run.checkpointer._tree.read

    def slowly(*arguments: Any) -> int:
        reading.set()
        assert going.wait(PATIENCE_S)
        return read(*arguments)

    monkeypatch.setattr(run.checkpointer._tree, "read", slowly)
    run.start()
    assert reading.wait(PATIENCE_S)
    for _ in range(3):
        run.commit(frames=1)
    going.set()
    first = run.told()
    assert first.size == 8 + 1 + 3
    run.require_true(first)
    run.require_true(run.stop())


def test_more_seals_than_may_wait_are_read_from_the_record(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointer_module, "WAITING_MAX", 3)
    run = Run(path)
    complete, most = run.checkpointer._complete, 0

    def after_more(upto: LastSeal) -> bool:
        nonlocal most
        for _ in range(5 if not most else 0):
            run.commit(frames=1)
            most = max(most, len(run.checkpointer._waiting))
        return complete(upto)

    monkeypatch.setattr(run.checkpointer, "_complete", after_more)
    first = run.start().told()
    assert (first.size, most) == (1 + 5, 3)
    run.require_true(first)
    run.require_true(run.stop())


def test_the_next_run_goes_on_from_the_last_checkpoint(path: Path) -> None:
    run = Run(path).start()
    run.told()
    run.commit(frames=3)
    run.stop()
    seals = run.seals()
    # What was covered is not read again: nobody would know that it is not there any more.
    with run.engine.begin() as connection:
        unguard(connection)
        connection.exec_driver_sql("UPDATE seals SET seal = zeroblob(32) WHERE batch < 3")
    after = Run(path).start()
    first = after.told()
    after.settle()
    assert first.size == len(seals) + 1
    after.stop()
    assert after.arrived()[-2].root == root_of([*seals, after.seals()[len(seals)]])


def test_after_a_crash_too(path: Path) -> None:
    run = Run(path).start()
    run.told()
    for _ in range(4):
        run.commit(frames=1)
    run.checkpointer.stop(0.0)  # and nothing after it: the run does not end
    run.checkpointer.join(PATIENCE_S)
    after = Run(path).start()
    first = after.told()
    assert first.size == 6 + 1
    after.require_true(first)
    after.require_true(after.stop())


def test_another_key_reads_everything_anew(path: Path) -> None:
    run = Run(path).start()
    run.told()
    run.stop()
    other = new_key("audit")
    after = Run(path, key=other).start()
    first = after.told()
    after.stop()
    signed = read_checkpoint(first.note, other.verifier)
    assert signed.root == root_of(after.seals()[: first.size])


@pytest.mark.parametrize("stopped", [True, False])
def test_a_record_that_was_changed_is_not_signed(path: Path, stopped: bool, caplog: pytest.LogCaptureFixture) -> None:
    run = Run(path).start()
    run.told()
    run.commit(frames=1)
    if stopped:
        run.stop()
    else:
        run.checkpointer.stop(0.0)
        run.checkpointer.join(PATIENCE_S)
    with run.engine.begin() as connection:
        unguard(connection)
        connection.exec_driver_sql("UPDATE seals SET seal = zeroblob(32) WHERE batch = 0")
        connection.exec_driver_sql("DELETE FROM event_log WHERE body LIKE '%CheckpointMade%'")
    sizes = [one.size for one in run.arrived()]
    after = Run(path).start()
    after.commit(frames=1)
    after.checkpointer.join(PATIENCE_S)
    assert "seals of recorder" in caplog.text
    assert "the record was changed" in caplog.text
    assert "No checkpoint is made in this run; recording goes on." in caplog.text
    assert after.channel.is_empty
    assert after.stop() is None
    assert "not read yet" not in caplog.text
    assert after.checkpointer.failure is None
    assert [one.size for one in after.arrived()] == sizes


def test_a_record_whose_end_was_changed_meanwhile(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = Run(path)
    with run.engine.begin() as connection:
        unguard(connection)
        connection.exec_driver_sql("UPDATE seals SET seal = zeroblob(32)")
    run.start().checkpointer.join(PATIENCE_S)
    assert "The seals in the record do not lead to this run's" in caplog.text
    run.commit(frames=1)
    assert run.checkpointer._waiting == [], "nobody will ever sign them"
    assert run.stop() is None
    assert not run.out.exists()


def test_a_seal_that_is_missing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = Run(path)
    before.commit(frames=1)
    before.commit(frames=1)
    with before.engine.begin() as connection:
        unguard(connection)
        connection.exec_driver_sql("DELETE FROM seals WHERE batch = 1")
    run = Run(path).start()
    run.checkpointer.join(PATIENCE_S)
    assert f"Run {before.run_id} lacks the seal of batch 1: type `recorder verify`." in caplog.text
    assert run.stop() is None


def test_a_stop_before_the_earlier_seals_are_read(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("recorder.audit.evidence.tree.CHUNK", 1)
    monkeypatch.setattr(checkpointer_module, "BREATH_S", PATIENCE_S)
    run = Run(path)
    run.commit(frames=1)
    after = Run(path).start()
    began_s = Clock().monotonic_s()
    assert after.stop() is None
    assert Clock().monotonic_s() - began_s < PATIENCE_S / 2
    assert "no checkpoint of this run's end: the seals before it are not read yet" in caplog.text


def test_a_record_that_cannot_be_read_now(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again at the next interval."""
    run = Run(path, every_s=0.02)
    begin = run.checkpointer._tree.begin
    failures = [1, 2]

    def fail_first(connection: Any) -> None:
        if failures:
            failures.pop()
            connection.exec_driver_sql("SELECT * FROM no_such_table")
        begin(connection)

    monkeypatch.setattr(run.checkpointer._tree, "begin", fail_first)
    run.start()
    run.require_true(run.told())
    assert (
        "no checkpoint now: the record cannot be read (no such table: no_such_table); it is tried again" in caplog.text
    )
    run.stop()


def test_a_fault_of_ours_ends_no_recording(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(path)
    monkeypatch.setattr(run.checkpointer._tree, "begin", lambda connection: 1 / 0)
    run.start().checkpointer.join(PATIENCE_S)
    assert "No more checkpoints in this run: recorder has a bug. Recording goes on." in caplog.text
    assert isinstance(run.checkpointer.failure, ZeroDivisionError)
    run.commit(frames=1)
    assert run.stop() is None


def test_a_file_that_cannot_be_written_is_tried_again_with_nothing_new(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = path.parent / "elsewhere" / "out"
    run = Run(path, file=out)
    (sender,) = run.checkpointer._senders
    sender.start()
    assert run.checkpointer._read_tree()
    for _ in range(3):
        rounds(run, 1)
        run.settle()
    assert sender.failing
    assert caplog.messages == [
        f"A checkpoint could not be sent: {out} cannot be written: No such file or directory. "
        "Trying again at the next interval."
    ]
    made = run.told()
    assert run.channel.is_empty, "the same tree is signed once"
    out.parent.mkdir()
    rounds(run, 1)
    run.settle()
    assert checkpoints_in(out.read_text()) == [made.note]
    sender.finish(PATIENCE_S)


def test_a_command_gets_each(path: Path) -> None:
    run = Run(path, file=None, command=("sh", "-c", f"cat >> {path.parent / 'out'}")).start()
    run.told()
    run.settle()
    run.commit(frames=1)
    run.require_true(run.stop())
    assert [one.size for one in run.arrived()] == [1, 4]


def test_a_command_that_hangs_does_not_hold_a_stop(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = Run(path, command=("sleep", "1000")).start()
    run.told()
    assert run.checkpointer._senders[0]._settled.wait(PATIENCE_S)
    began_s = Clock().monotonic_s()
    last = run.stop(within_s=2.0)
    assert Clock().monotonic_s() - began_s < PATIENCE_S / 2
    run.require_true(last)
    assert [one.size for one in run.arrived()] == [1, 3], "the file has it all the same"
    assert "sleep has not taken the last checkpoint in time: the next run brings a newer one" in caplog.text


def test_an_authority_stamps_each(path: Path, authority: Authority) -> None:
    run = Run(path, authority=asked(authority)).start()
    first, last = run.told(), run.stop()
    assert last is not None
    for made in (first, last):
        run.require_true(made)
        assert made.token is not None
        when = read_token(made.token, made.note, (authority.stamper.root,))
        assert abs(when.timestamp() - made.made_ns / 1e9) < 60
    assert first.token != last.token
    assert len(authority.queries) == 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda query: b"nonsense", "That is no answer of a time-stamp authority."),
        (lambda query: refusal("not today"), "The authority refused: status 2, not today."),
        (Stamper().answer, "The time-stamp does not prove it: its signature is not right, or not one"),
        (lambda query: b"\x30" * 3_000_000, "That is no answer of a time-stamp authority."),
    ],
)
def test_an_authority_that_says_something_else(
    path: Path, authority: Authority, answer: Callable[[bytes], bytes], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    authority.answer = answer
    run = Run(path, file=None, authority=asked(authority))
    caplog.clear()
    caplog.set_level(logging.INFO)
    assert run.checkpointer._read_tree()
    for _ in range(2):
        rounds(run, 1)
        made = run.told()
        run.require_true(made)
        assert made.token is None
        run.commit(frames=1)
    (said,) = caplog.messages
    assert said.startswith(f"A checkpoint has no time-stamp: {why}")
    assert said.endswith(" Asking again at the next checkpoint.")
    authority.answer = authority.stamper.answer
    rounds(run, 1)
    assert run.told().token is not None
    assert caplog.messages[1:] == [f"{authority.url} gives time-stamps again"]
    authority.answer = answer
    run.commit(frames=1)
    rounds(run, 1)
    assert caplog.messages[2:] == [said], "the next outage is told again"


def test_an_answer_over_another_note(path: Path, authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    authority.answer = lambda query: authority.stamper.answer(query, digest=bytes(32))
    run = Run(path, authority=asked(authority)).start()
    assert run.told().token is None
    assert "The time-stamp does not prove it: Mismatch between messages." in caplog.text
    run.stop()


@pytest.mark.parametrize(("status", "why"), [(500, "answers with status 500."), (302, "answers with status 302.")])
def test_an_authority_that_serves_something_else(
    path: Path, authority: Authority, status: int, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    authority.status = status
    run = Run(path, authority=asked(authority)).start()
    assert run.told().token is None
    assert f"A checkpoint has no time-stamp: {authority.url} {why}" in caplog.text
    run.stop()


def test_an_authority_that_is_down(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Authority() as gone:
        pass
    run = Run(path, authority=asked(gone)).start()
    assert run.told().token is None
    assert f"A checkpoint has no time-stamp: {gone.url} cannot be reached: nothing answers there." in caplog.text
    run.stop()


def test_an_authority_that_hangs(path: Path, authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    """Neither an interval nor a stop waits for long; there are never two questions at a time."""
    authority.answer = lambda query: b""
    run = Run(path, authority=asked(authority))
    run.start()
    assert authority.asked.wait(PATIENCE_S)
    began_s = Clock().monotonic_s()
    last = run.stop(within_s=2.0)
    assert Clock().monotonic_s() - began_s < PATIENCE_S / 2
    run.require_true(last)
    assert last is not None
    assert last.token is None
    (entry,) = run.channel.take(10, 10)
    assert isinstance(entry, CheckpointMade)
    assert (entry.size, entry.token) == (1, None), "what was being stamped is noted without a time"
    assert f"A checkpoint has no time-stamp: {authority.url} does not answer in time." in caplog.text
    assert len(authority.queries) == 1
    assert run.arrived()[-1].size == 2, "it went out first"


def test_a_slow_authority_is_waited_for_at_the_end(path: Path, authority: Authority) -> None:
    """As long as there is time."""
    run = Run(path, authority=asked(authority)).start()
    run.told()
    slow = threading.Event()

    def answer(query: bytes) -> bytes:
        assert slow.wait(PATIENCE_S)
        return authority.stamper.answer(query)

    authority.answer = answer
    threading.Timer(0.2, slow.set).start()
    last = run.stop()
    assert last is not None
    assert last.token is not None
