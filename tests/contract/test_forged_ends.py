"""Rows of runs and sessions are changed after a crash and put back later: no gap is hidden, and no end goes unseen."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from recorder.audit.verify.findings import ENTRY_CONTRADICTED
from recorder.audit.verify.verification import Verification, Wanted
from recorder.store import entries, event_log, opening
from recorder.store.entries import (
    Covered,
    CredentialAccepted,
    LogEntry,
    ReconciliationBegan,
    RunEnded,
    RunStarted,
    SessionEnded,
    SessionOpened,
)
from recorder.store.event_log import what_a_crash_left
from recorder.store.journal import Batch
from recorder.store.opening import add_entry, open_run
from tests.contract.story import TOPICS, Heard, Teller, Told, contents
from tests.contract.test_mover import move
from tests.made import ACCOUNT, NOON_NS

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = ("test_verify_compares_what_a_run_says_of_the_one_before_it",)

TOLD = [Told(at, at) for at in range(1, 40)]
BEFORE, CRASHED, AFTER = Heard(1, 5), Heard(10, 20, "crashed"), Heard(25, 30)
NEWEST = "run_id = (SELECT max(run_id) FROM runs)"

Gaps = list[tuple[Any, ...]]


@pytest.fixture
def tellers(tmp_path: Path, sqlite_template: Path) -> Iterator[list[Teller]]:
    """Two recorders that crashed at the same point."""
    tellers = [Teller(tmp_path / f"{name}.db", sqlite_template, 1) for name in ("honest", "forged")]
    for teller in tellers:
        teller.write(TOLD, [BEFORE, CRASHED])
    yield tellers
    for teller in tellers:
        teller.engine.dispose()


def gaps_of(teller: Teller) -> Gaps:
    return [(row.begins_ns, row.begin_seq, row.ends_ns, row.reason) for row in contents(teller.engine)["gaps"]]


def ended_as(teller: Teller) -> Gaps:
    return [(row.ended_ns, row.end_reason) for row in contents(teller.engine)["sessions"]]


def kinds(url: str) -> list[str]:
    return [finding.kind for finding in Verification(url, Wanted(jobs=1, projections=False))]


@pytest.mark.parametrize(
    ("forged", "put_back"),
    [
        (("sessions SET covered_ns = NULL",), ("sessions SET covered_ns = opened_ns",)),
        (("sessions SET ended_ns = opened_ns, end_reason = 'stopped'",), ()),
        (("runs SET ended_ns = started_ns, end_reason = 'stopped'",), ()),
        (
            (
                "runs SET ended_ns = started_ns, end_reason = 'stopped'",
                "sessions SET ended_ns = opened_ns, end_reason = 'lost', covered_ns = NULL",
            ),
            ("sessions SET covered_ns = opened_ns",),
        ),
    ],
)
def test_a_row_that_was_changed_hides_no_crash(
    tellers: list[Teller], forged: tuple[str, ...], put_back: tuple[str, ...]
) -> None:
    with tellers[1].engine.begin() as connection:
        (session_id,) = connection.execute(text("SELECT max(session_id) FROM sessions")).one()
        for change in forged:
            connection.execute(text(f"UPDATE {change} WHERE {NEWEST}"))
    for teller in tellers:
        teller.write(TOLD, [AFTER])
    with tellers[1].engine.begin() as connection:
        for change in put_back:
            connection.execute(text(f"UPDATE {change} WHERE session_id = {session_id}"))
    assert gaps_of(tellers[1]) == gaps_of(tellers[0])
    assert [reason for *_, reason in gaps_of(tellers[1])].count("crashed") == 1
    assert ended_as(tellers[1]) == ended_as(tellers[0])
    assert kinds(tellers[1].url) == []


def test_a_session_that_ended_does_not_end_again_because_a_row_says_so(tellers: list[Teller]) -> None:
    for teller in tellers:
        teller.write(TOLD, [AFTER])
    with tellers[1].engine.begin() as connection:
        changed = "covered_ns = NULL, ended_ns = NULL, end_reason = NULL"
        connection.execute(text(f"UPDATE sessions SET {changed} WHERE {NEWEST}"))
    for teller in tellers:
        add_entry(teller.engine, teller.url, CredentialAccepted(ACCOUNT, "f" * 16, NOON_NS), NOON_NS, "accepted")
    assert gaps_of(tellers[1]) == gaps_of(tellers[0])


def test_an_entry_that_was_not_sealed_ends_nothing(tellers: list[Teller]) -> None:
    with tellers[1].engine.begin() as connection:
        connection.execute(text(f"UPDATE sessions SET ended_ns = opened_ns, end_reason = 'stopped' WHERE {NEWEST}"))
        last = "SELECT run_id, max(batch) FROM batches GROUP BY run_id ORDER BY run_id DESC LIMIT 1"
        run_id, batch = connection.execute(text(last)).one()
        body = entries.encode(RunEnded(run_id, NOON_NS, "stopped")).decode()
        row = {"run": run_id, "batch": batch, "body": body}
        connection.execute(text("INSERT INTO event_log VALUES (:run, :batch, 0, :body)"), row)
    for teller in tellers:
        teller.write(TOLD, [AFTER])
    assert gaps_of(tellers[1]) == gaps_of(tellers[0])


@pytest.mark.parametrize("connecting", [False, True])
def test_a_start_reads_no_more_of_a_long_run(
    tmp_path: Path, sqlite_template: Path, connecting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It crashed while a session was covered, or while another one was being opened as well."""
    read: list[int] = []
    decoded: list[str] = []

    def decode(body: str) -> LogEntry:
        decoded.append(body)
        entry: LogEntry = entries.decode(body)
        return entry

    for rounds in (1, 300):
        teller = Teller(tmp_path / f"{rounds}.db", sqlite_template, 1)
        teller.write(TOLD, [BEFORE])
        with teller.engine.begin() as connection:
            run, seal, _ = open_run(connection, teller.url, RunStarted(1 << 50, 0, NOON_NS, "host", 1, "v"), ())
            told: list[LogEntry] = [SessionOpened(ACCOUNT, 1 << 50, run.run_id, "wss://x", TOPICS, NOON_NS)]
            told.append(Covered(ACCOUNT, 1 << 50, 0, NOON_NS, TOPICS, {}))
            told += [ReconciliationBegan(ACCOUNT, (1 << 50) + n, run.run_id, NOON_NS) for n in range(1, rounds)]
            if connecting:
                told.append(SessionOpened(ACCOUNT, 1 << 51, run.run_id, "wss://x", TOPICS, NOON_NS))
            for number, entry in enumerate(told, 1):
                batch = Batch(run.recorder_id, run.run_id, number, seal)
                batch.entries.append(entry)
                batch.write(connection, NOON_NS)
                seal = batch.seal
            with monkeypatch.context() as counting:
                counting.setattr(event_log, "decode", decode)
                left = what_a_crash_left(connection, run.recorder_id)
        assert [entry.covered for entry in left if isinstance(entry, SessionEnded)] == [True, False][: 1 + connecting]
        read.append(len(decoded))
        decoded.clear()
        teller.engine.dispose()
    assert read[1] <= event_log._ROWS_PER_FETCH + read[0]


Forge = Callable[[LogEntry], LogEntry | None]


def as_never_covered(entry: LogEntry) -> LogEntry:
    if not isinstance(entry, SessionEnded):
        return entry
    key = entry.account_id, entry.session_id, entry.ended_ns, entry.reason, entry.detail
    return SessionEnded(*key, False, entry.last_seq, entry.last_received_ns)


def as_later(entry: LogEntry) -> LogEntry:
    if not isinstance(entry, SessionEnded):
        return entry
    key = entry.account_id, entry.session_id, entry.ended_ns, entry.reason, entry.detail
    return SessionEnded(*key, entry.covered, entry.last_seq + 1, entry.last_received_ns + 1)


def without_the_session(entry: LogEntry) -> LogEntry | None:
    return None if isinstance(entry, SessionEnded) else entry


def without_the_run(entry: LogEntry) -> LogEntry | None:
    return None if isinstance(entry, RunEnded) else entry


@pytest.mark.parametrize("forge", [as_never_covered, as_later, without_the_session, without_the_run])
def test_verify_compares_what_a_run_says_of_the_one_before_it(
    tellers: list[Teller], engine: Engine, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a start that believed the rows sealed it."""

    def forged(connection: Connection, recorder_id: int) -> list[LogEntry]:
        return [one for entry in what_a_crash_left(connection, recorder_id) if (one := forge(entry)) is not None]

    monkeypatch.setattr(opening, "what_a_crash_left", forged)
    tellers[1].write(TOLD, [AFTER])
    move(tellers[1].engine, engine)
    url = engine.url.render_as_string(hide_password=False)
    assert ENTRY_CONTRADICTED in kinds(url)
    assert kinds(tellers[1].url) == kinds(url)


def test_an_honest_crash_is_no_finding(tellers: list[Teller], engine: Engine) -> None:
    tellers[0].write(TOLD, [AFTER, Heard(31, 33, "crashed"), Heard(35, 37)])
    move(tellers[0].engine, engine)
    assert kinds(engine.url.render_as_string(hide_password=False)) == []
