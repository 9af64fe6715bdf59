"""Moving batches: whole, each once, in any order of records, and through every fault."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import OperationalError

import recorder
from recorder.errors import AnotherAccount, DatabaseError, MergeConflict
from recorder.live.shipper import Shipper
from recorder.read.projector import Projector
from recorder.store import dialects, entries, postgresql
from recorder.store import mover as mover_module
from recorder.store.credentials import (
    KnownCredential,
    KnownCredentials,
    conflict,
    fingerprint,
    known_credentials,
    require_one_account,
)
from recorder.store.crosscheck import compare_sessions
from recorder.store.engine import open_engine
from recorder.store.entries import AccountAdded, CredentialAccepted, FramesRedacted, RunStarted
from recorder.store.journal import OPENING, Batch
from recorder.store.mover import Moved, Mover, require_rights, require_same, update_statistics
from recorder.store.opening import add_entry, open_run
from recorder.store.redactions import redact, redactable
from recorder.store.schema import frames
from tests.contract.chronicle import seal_anew
from tests.contract.conftest import NewUrl
from tests.contract.story import Heard, Teller, Told, contents
from tests.depth import ALL, examples
from tests.made import ACCOUNT, NOON_NS, quick_engine, unguard
from tests.server import PostgresServer
from tests.waiting import wait_until

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_everything_arrives_row_for_row",
    "test_digits_arrive_as_they_were_written",
    "test_cut_anywhere_and_called_again",
    "test_a_commit_whose_outcome_is_unknown",
    "test_a_frame_that_was_changed_is_named_and_nothing_is_merged",
    "test_an_entry_that_was_not_sealed_erases_nothing",
    "test_a_shipper_sends_no_entry_that_was_not_sealed",
)

CHECKOUT = Path(recorder.__file__).parent.parent

#: One push a second, each its own.
TOLD = [Told(at, at) for at in range(1, 40)]


@pytest.fixture
def teller(tmp_path: Path, sqlite_template: Path) -> Iterator[Teller]:
    """A recorder that was stopped once, lost its connection once, and crashed once."""
    teller = Teller(tmp_path / "one.db", sqlite_template, 1)
    teller.write(TOLD, [Heard(1, 10, "stopped"), Heard(12, 20), Heard(21, 30, "crashed"), Heard(33, 38)])
    yield teller
    teller.engine.dispose()


def move(source: Engine, target: Engine, **options: Any) -> list[Moved]:
    """Move everything."""
    mover = Mover(source, target, **options)
    steps = []
    while (step := mover.step()) is not None:
        steps.append(step)
    mover.close()
    return steps


def test_everything_arrives_row_for_row(teller: Teller, engine: Engine) -> None:
    steps = move(teller.engine, engine)
    expected = contents(teller.engine)
    assert contents(engine) == expected
    assert sum(step.frames for step in steps) == len(expected["frames"])
    assert sum(step.sessions_ended for step in steps) == 4
    assert len(expected["gaps"]) == 5, "the beginning, and one after each session"


@pytest.mark.parametrize("frames_max", [1, 2, 7])
def test_a_step_takes_whole_batches(teller: Teller, engine: Engine, frames_max: int) -> None:
    steps = move(teller.engine, engine, frames_max=frames_max)
    assert {step.frames for step in steps} <= {*range(frames_max + 1)}
    assert frames_max > 6 or frames_max in {step.frames for step in steps}
    assert all(step.more for step in steps[:-1])
    assert contents(engine) == contents(teller.engine)


def test_digits_arrive_as_they_were_written(teller: Teller, engine: Engine) -> None:
    with teller.engine.begin() as connection:
        connection.execute(text("UPDATE order_updates SET fee = '0.000E-18', price = '9.747280117178e-06'"))
    move(teller.engine, engine)
    with engine.connect() as connection:
        (found,) = connection.execute(text("SELECT DISTINCT fee, price FROM order_updates")).all()
    digits = ("0.000E-18", "9.747280117178e-06")
    # PostgreSQL's numbers have no spelling, but every digit.
    assert tuple(found) == (digits if engine.dialect.name == "sqlite" else tuple(map(Decimal, digits)))


def test_moved_again_nothing_changes(teller: Teller, engine: Engine) -> None:
    move(teller.engine, engine)
    before = contents(engine)
    assert move(teller.engine, engine) == []
    assert contents(engine) == before


def test_what_is_new_is_moved(teller: Teller, engine: Engine) -> None:
    mover = Mover(teller.engine, engine)
    while mover.step() is not None:
        pass
    teller.write([Told(50, 1), Told(51, 2)], [Heard(49, 60)])
    assert [(step.frames, step.more) for step in iter(mover.step, None)] == [(3, False)]
    mover.close()
    assert contents(engine) == contents(teller.engine)


def test_a_shipper_is_up_to_date_although_batches_keep_coming(
    teller: Teller, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow server never has nothing to be sent: each step ends after the next commit."""
    started = RunStarted(10**15, 0, NOON_NS + 10**12, "host", 1, "v")
    with teller.engine.begin() as connection:
        run, seal, _ = open_run(connection, teller.url, started, [])
    step, numbers = Mover.step, count(OPENING + 1)

    def commit_meanwhile(mover: Mover) -> Moved | None:
        nonlocal seal
        moved, number = step(mover), next(numbers)
        assert number < OPENING + 10, "it never stops to collect batches"
        batch = Batch(run.recorder_id, run.run_id, number, seal)
        batch.entries.append(AccountAdded(ACCOUNT + number, "fmex", f"account-{number}", NOON_NS))
        with teller.engine.begin() as connection:
            batch.write(connection, NOON_NS + 10**12)
        seal = batch.seal
        return moved

    monkeypatch.setattr(Mover, "step", commit_meanwhile)
    source, target = (one.url.render_as_string(hide_password=False) for one in (teller.engine, engine))
    shipper = Shipper(source, target, lambda: None)
    shipper.more(7)
    shipper.finish()
    shipper.run()
    assert shipper.failure is None
    assert (shipper.state, shipper.frames) == ("up to date", 7)


def test_a_failing_projection_does_not_end_the_sending(
    teller: Teller, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> bool:
        raise ValueError("a bug")

    monkeypatch.setattr(Projector, "step", fail)
    source, target = (one.url.render_as_string(hide_password=False) for one in (teller.engine, engine))
    shipper = Shipper(source, target, lambda: None)
    shipper.more(7)
    shipper.finish()
    shipper.run()
    assert shipper.failure is None
    assert (shipper.state, shipper.frames) == ("up to date", 7)
    assert caplog.text.count("recorder rebuild makes them again") == 1
    assert contents(engine) == contents(teller.engine)


@contextmanager
def failing_at(engine: Engine, nth: int) -> Iterator[None]:
    """Break the nth statement that is sent to a database."""
    numbers = count(1)

    def fail(*_: object) -> None:
        if next(numbers) == nth:
            raise OperationalError("a statement", None, OSError("the line is cut"))

    event.listen(engine, "before_cursor_execute", fail)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", fail)


@pytest.mark.parametrize("nth", range(1, 60, 7 if ALL else 20))
def test_cut_anywhere_and_called_again(teller: Teller, engine: Engine, nth: int) -> None:
    mover = Mover(teller.engine, engine, frames_max=5)
    with failing_at(engine, nth), pytest.raises(OperationalError):
        while mover.step() is not None:
            pass
    while mover.step() is not None:
        pass
    mover.close()
    assert contents(engine) == contents(teller.engine)


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_whose_outcome_is_unknown(
    teller: Teller, engine: Engine, committed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = count()

    def commit(connection: Any) -> None:
        if next(once) == 3:
            if committed:
                connection.connection.driver_connection.commit()
            raise OperationalError("COMMIT", None, OSError("the line is cut"))

    event.listen(engine, "commit", commit)
    mover = Mover(teller.engine, engine, frames_max=3)
    for _ in range(100):
        with suppress(OperationalError):
            if mover.step() is None:
                break
    mover.close()
    assert next(once) > 4
    assert contents(engine) == contents(teller.engine)


def test_a_frame_that_was_changed_is_named_and_nothing_is_merged(teller: Teller, engine: Engine) -> None:
    move(teller.engine, engine)
    with teller.engine.begin() as connection:
        unguard(connection)
        connection.execute(text("UPDATE frames SET payload = x'7b7d' WHERE seq = 3"))
        (session_id,) = connection.execute(text("SELECT min(session_id) FROM frames WHERE seq = 3")).one()
    before = contents(engine)
    with (
        teller.engine.connect() as one,
        engine.connect() as other,
        pytest.raises(MergeConflict, match=f"Frame 3 of session {session_id} is not the same"),
    ):
        require_same(one, other)
    assert contents(engine) == before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE event_log SET body = replace(body, 'stopped', 'Stopped')",
        "UPDATE batches SET written_ns = written_ns + 1 WHERE batch = 2",
        "UPDATE frames SET received_ns = received_ns + 1 WHERE seq = 1",
        "UPDATE spans SET last_seq = last_seq + 1 WHERE batch = 2",
        "DELETE FROM frames WHERE seq = 2",
        "UPDATE seals SET seal = digests WHERE batch = 2",
    ],
)
def test_whatever_was_changed_is_found(teller: Teller, engine: Engine, change: str) -> None:
    move(teller.engine, engine)
    frames = len(contents(engine)["frames"])
    with teller.engine.connect() as one, engine.connect() as other:
        assert require_same(one, other) == frames
    with engine.begin() as connection:
        unguard(connection)
        connection.execute(text(change))
    with teller.engine.connect() as one, engine.connect() as other, pytest.raises(MergeConflict):
        require_same(one, other)


def test_the_same_frame_of_another_run_is_refused(
    teller: Teller, engine: Engine, tmp_path: Path, sqlite_template: Path
) -> None:
    move(teller.engine, engine)
    before = contents(engine)
    forged = Teller(tmp_path / "forged.db", sqlite_template, 1)
    forged.write([Told(at, 10 - at) for at in range(1, 10)], [Heard(1, 10, "stopped")])
    with forged.engine.begin() as connection:
        unguard(connection)
        for table in ("runs", "batches", "spans", "event_log", "seals"):
            connection.execute(text("PRAGMA defer_foreign_keys=ON"))
            connection.execute(text(f"UPDATE {table} SET run_id = run_id + 1"))
        connection.execute(text("UPDATE sessions SET run_id = run_id + 1"))
        connection.execute(text("UPDATE reconciliations SET run_id = run_id + 1"))
        run_id = connection.scalar(text("SELECT run_id FROM runs"))
        connection.execute(text(f"UPDATE event_log SET body = replace(body, '{run_id - 1}', '{run_id}')"))
        seal_anew(connection)
    with pytest.raises(MergeConflict, match="under the key of another run"):
        move(forged.engine, engine)
    forged.engine.dispose()
    assert contents(engine) == before


def forge_a_redaction(teller: Teller) -> None:
    """Add a redaction of everything to the next run's entries, with every guard in place. Nobody sealed it."""
    accept(teller, THREE)
    with teller.engine.begin() as connection:
        (run_id,) = connection.execute(text("SELECT max(run_id) FROM runs")).one()
        last = "SELECT session_id, max(seq) FROM frames GROUP BY session_id"
        for item, (session_id, seq) in enumerate(connection.execute(text(last)).all(), 2):
            body = entries.encode(FramesRedacted(ACCOUNT, session_id, 0, seq, NOON_NS, "somebody", "no reason"))
            row = {"run": run_id, "item": item, "body": body.decode()}
            connection.execute(text("INSERT INTO event_log VALUES (:run, 1, :item, :body)"), row)


@pytest.mark.parametrize("moved_before", [True, False])
def test_an_entry_that_was_not_sealed_erases_nothing(teller: Teller, engine: Engine, moved_before: bool) -> None:
    if moved_before:
        move(teller.engine, engine)
    source = contents(teller.engine)
    forge_a_redaction(teller)
    with pytest.raises(MergeConflict, match=r"Batch 1 of run .* not as it was sealed: its event log entries"):
        move(teller.engine, engine, frames_max=1)
    there = contents(engine)
    assert [there[table] for table in ("frames", "order_updates", "redactions")] == [
        source[table] for table in ("frames", "order_updates", "redactions")
    ]


def test_a_shipper_sends_no_entry_that_was_not_sealed(
    teller: Teller, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    move(teller.engine, engine)
    before = contents(engine)
    forge_a_redaction(teller)
    source, target = (one.url.render_as_string(hide_password=False) for one in (teller.engine, engine))
    shipper = Shipper(source, target, lambda: None)
    shipper.start()
    wait_until(lambda: shipper.state == "refusing")
    shipper.give_up()
    shipper.join()
    assert shipper.failure is None
    assert "not as it was sealed" in caplog.text
    assert contents(engine)["frames"] == before["frames"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE event_log SET body = replace(body, 'accepted', 'Accepted') {newest}", "its event log entries"),
        ("DELETE FROM event_log {newest} AND item = 1", "its event log entries"),
        ("UPDATE event_log SET body = 'no JSON' {newest} AND item = 0", "its event log entries"),
        ("UPDATE batches SET written_ns = written_ns + 1 {newest}", "its seal does not follow"),
        ("UPDATE batches SET frames = frames + 1 {newest}", "its seal does not follow"),
        ("UPDATE seals SET seal = frames_root {newest}", "its seal does not follow"),
        ("UPDATE seals SET entries_root = frames_root {newest}", "its event log entries"),
        ("DELETE FROM seals {newest}", "its seal is missing"),
        ("UPDATE seals SET seal = frames_root WHERE run_id = {last_moved}", "does not continue what is there"),
        ("DELETE FROM seals WHERE run_id < {run}", "does not continue what is there"),
        ("DELETE FROM event_log WHERE run_id = {run} AND batch = 0", "No entry of run"),
    ],
)
def test_a_batch_that_is_not_as_it_was_sealed_is_not_moved(
    teller: Teller, engine: Engine, change: str, told: str
) -> None:
    move(teller.engine, engine)
    before = contents(engine)
    accept(teller, THREE)
    with teller.engine.begin() as connection:
        unguard(connection)
        last_moved, run_id = sorted(connection.scalars(text("SELECT run_id FROM runs")))[-2:]
        newest = f"WHERE run_id = {run_id} AND batch = 1"
        connection.execute(text(change.format(newest=newest, last_moved=last_moved, run=run_id)))
    with pytest.raises(MergeConflict, match=told):
        move(teller.engine, engine, frames_max=10_000)
    assert contents(engine) == before


def test_a_row_of_runs_does_not_say_whose_entries_they_are(teller: Teller, engine: Engine) -> None:
    with teller.engine.begin() as connection:
        connection.execute(text("INSERT INTO recorders VALUES (1, 1, 'another')"))
        connection.execute(text("UPDATE runs SET recorder_id = 1 WHERE run_id = (SELECT min(run_id) FROM runs)"))
    mine = {row.recorder_id for row in contents(teller.engine)["gaps"]}
    with suppress(MergeConflict):
        move(teller.engine, engine)
    assert {row.recorder_id for row in contents(engine)["gaps"]} == mine


def test_a_journal_with_a_hole_is_refused(teller: Teller, engine: Engine) -> None:
    with teller.engine.begin() as connection:
        unguard(connection)
        for table in ("seals", "spans", "event_log", "batches"):
            connection.execute(text(f"DELETE FROM {table} WHERE batch = 0"))
    with pytest.raises(MergeConflict, match="lacks batch 0"):
        move(teller.engine, engine)


def test_memory_does_not_grow_with_the_distance(
    teller: Teller, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def counting(connection: Any, table: Any, rows: Any) -> None:
        if table.name == "frames":
            sizes.append(len(rows))
        dialects.insert_rows(connection, table, rows)

    monkeypatch.setattr(mover_module, "CHUNK_ROWS", 2)
    monkeypatch.setattr(mover_module, "insert_rows", counting)
    move(teller.engine, engine)
    assert max(sizes) == 2
    assert sum(sizes) == len(contents(teller.engine)["frames"])


heard = st.lists(
    st.tuples(st.integers(1, 8), st.integers(1, 12), st.sampled_from(["lost", "stopped", "crashed"])), max_size=3
)


def sessions(drawn: list[tuple[int, int, str]]) -> list[Heard]:
    """Pauses and lengths → one session after the other."""
    now, made = 1, []
    for pause, length, end in drawn:
        made.append(Heard(now + pause, now + pause + length, end))
        now += pause + length
    return made


@settings(max_examples=examples(8), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(heard, min_size=2, max_size=3), st.permutations(range(3)), st.sampled_from([2, 50]))
def test_records_are_merged_in_any_order_and_as_often_as_one_likes(
    new_url: NewUrl,
    tmp_path_factory: pytest.TempPathFactory,
    sqlite_template: Path,
    drawn: list[list[tuple[int, int, str]]],
    order: list[int],
    frames_max: int,
) -> None:
    folder = tmp_path_factory.mktemp("merged")
    tellers = [Teller(folder / f"{number}.db", sqlite_template, number) for number in range(len(drawn))]
    for teller, one in zip(tellers, drawn, strict=True):
        teller.write(TOLD, sessions(one))
    results = []
    for way in (range(len(tellers)), [number for number in (*order, *order) if number < len(tellers)]):
        target = quick_engine(new_url())
        for number in way:
            move(tellers[number].engine, target, frames_max=frames_max)
            list(compare_sessions(target))
        results.append(contents(target))
        target.dispose()
    assert results[0] == results[1]
    frames = [row for teller in tellers for row in contents(teller.engine)["frames"]]
    assert results[0]["frames"] == sorted(frames)
    for teller in tellers:
        teller.engine.dispose()


def test_a_target_that_has_lost_what_it_had_is_sent_it_again(teller: Teller, engine: Engine) -> None:
    """A standby that took over, a backup put back: behind, across a run's end, and the connection breaks meanwhile."""
    mover = Mover(teller.engine, engine)
    while mover.step() is not None:
        pass
    with engine.begin() as connection:
        unguard(connection)
        for table in ("frames", "receipts", "account_updates", "order_updates", "position_updates", "discrepancies"):
            connection.execute(text(f"DELETE FROM {table}"))
        for table in ("seals", "event_log", "spans", "batches", "reconciliations", "gaps", "sessions"):
            connection.execute(text(f"DELETE FROM {table}"))
        connection.execute(text("DELETE FROM runs"))
        connection.execute(text("DELETE FROM recorders"))
        connection.execute(text("DELETE FROM accounts"))
    with failing_at(engine, 1), pytest.raises(OperationalError):
        mover.step()
    while mover.step() is not None:
        pass
    mover.close()
    assert contents(engine) == contents(teller.engine)


def test_frames_of_megabytes_are_moved_a_few_at_a_time(teller: Teller, engine: Engine) -> None:
    with teller.engine.begin() as connection:
        unguard(connection)
        connection.execute(text("UPDATE frames SET payload = zeroblob(3000000) WHERE seq IN (2, 3, 4, 5, 6)"))
    sizes = [sum(len(row[-1]) for row in rows) for rows in _chunks(teller.engine)]
    assert len(sizes) > 1
    assert max(sizes) < mover_module.CHUNK_BYTES + 3_000_000, "no more than the one that is too many"
    move(teller.engine, engine)
    assert contents(engine) == contents(teller.engine)


def _chunks(engine: Engine) -> list[list[Any]]:
    with engine.connect() as connection:
        (span, *_) = [
            one
            for run_id, last in mover_module.last_batches(connection).items()
            for one in mover_module.spans_of(connection, run_id, 0, last)
        ]
        return list(mover_module.rows_of(connection, frames, span))


@pytest.fixture
def granted(postgres: PostgresServer) -> Iterator[tuple[Engine, Engine]]:
    """A database as its owner sees it, and as the role that has the rights that docs/postgresql.md names."""
    owner = open_engine(postgres.new_database())
    page = (CHECKOUT / "docs" / "postgresql.md").read_text(encoding="utf-8")
    grants = [line for line in page.splitlines() if line.startswith("GRANT") and "MAINTAIN" not in line]
    assert len(grants) == 2
    role = f"writer_{owner.url.database}"
    with owner.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'writes'")
        for grant in grants:
            connection.exec_driver_sql(grant.replace("TO recorder", f"TO {role}"))
    url = owner.url.set(username=role, password="writes")
    engine = open_engine(url.render_as_string(hide_password=False))
    yield owner, engine
    for each in (engine, owner):
        each.dispose()


def test_the_documented_rights_are_enough_for_a_redaction(teller: Teller, granted: tuple[Engine, Engine]) -> None:
    _, engine = granted
    with engine.connect() as connection:
        require_rights(connection, "there")
    move(teller.engine, engine)
    with teller.engine.connect() as connection:
        chosen = list(redactable(connection, ACCOUNT, before_ns=2**62))
    list(redact(teller.engine, teller.url, chosen, "who", "why"))
    assert move(teller.engine, engine) != []
    assert contents(engine) == contents(teller.engine)


def test_a_missing_right_is_named_with_the_grant(granted: tuple[Engine, Engine]) -> None:
    owner, engine = granted
    with owner.begin() as connection:
        connection.exec_driver_sql(f"REVOKE DELETE ON fills, snapshots FROM {engine.url.username}")
    grant = f"GRANT DELETE ON fills, snapshots TO {engine.url.username};"
    with engine.connect() as connection, pytest.raises(DatabaseError, match=f"its owner must type: {grant}"):
        require_rights(connection, "there")


def test_a_partitioned_table_that_has_grown_gets_statistics(granted: tuple[Engine, Engine]) -> None:
    owner, engine = granted
    counted = "SELECT reltuples FROM pg_class WHERE relname = 'frames'"
    rows = (
        "INSERT INTO frames SELECT 1, 1, i, i, 'push', NULL, 'control', NULL, '' "
        f"FROM generate_series(1, {postgresql.ANALYZE_ROWS_MIN}) i"
    )
    with owner.begin() as connection:
        connection.exec_driver_sql(rows)
        connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
    with engine.connect() as connection:
        assert update_statistics(connection) == ["frames"], "it may not: only the owner may"
    with owner.connect() as connection:
        assert connection.exec_driver_sql(counted).scalar() == -1
        connection.rollback()
        assert update_statistics(connection) == []
        assert connection.exec_driver_sql(counted).scalar() == postgresql.ANALYZE_ROWS_MIN


ONE, TWO, THREE = (fingerprint("fmex", f"key {number}", "secret") for number in (1, 2, 3))


def accept(teller: Teller, credential: str) -> None:
    add_entry(teller.engine, teller.url, CredentialAccepted(ACCOUNT, credential, NOON_NS + 10**12), NOON_NS, "accepted")


def test_two_accounts_of_one_name_are_not_moved_together(tmp_path: Path, sqlite_template: Path, engine: Engine) -> None:
    tellers = [Teller(tmp_path / f"{number}.db", sqlite_template, number) for number in (1, 2)]
    for teller, key in zip(tellers, (ONE, TWO), strict=True):
        teller.credential = key
        teller.write(TOLD, [Heard(1, 3)])
    move(tellers[0].engine, engine)
    before = contents(engine)
    sentence = f"fmex/main was recorded with two API keys .*{ONE} and {TWO}.*`recorder db accept-key fmex/main {TWO}`;"
    with (
        tellers[1].engine.connect() as source,
        engine.connect() as target,
        pytest.raises(AnotherAccount, match=sentence),
    ):
        require_one_account(source, target)
    with pytest.raises(AnotherAccount, match=sentence):
        move(tellers[1].engine, engine, frames_max=10_000)
    assert contents(engine) == before
    accept(tellers[1], TWO)
    with tellers[1].engine.connect() as source, engine.connect() as target:
        require_one_account(source, target)
    move(tellers[1].engine, engine)
    with engine.connect() as connection:
        known = known_credentials(connection, ACCOUNT)
    assert {key: found.accepted for key, found in known.items()} == {ONE: False, TWO: True}


def test_what_was_recorded_with_a_new_key_waits_until_the_key_is_accepted(teller: Teller, engine: Engine) -> None:
    teller.credential = ONE
    teller.write(TOLD, [Heard(40, 42)])
    move(teller.engine, engine)
    before = contents(engine)
    teller.credential = TWO
    teller.write(TOLD, [Heard(43, 45), Heard(46, 48)])
    for _ in range(2):
        with pytest.raises(AnotherAccount, match=TWO):
            move(teller.engine, engine)
        assert contents(engine) == before
    accept(teller, TWO)
    move(teller.engine, engine)
    assert contents(engine) == contents(teller.engine)


def test_the_order_of_moving_does_not_matter(tmp_path: Path, sqlite_template: Path, engine: Engine) -> None:
    """Each of two recorders of one account has a key of its own: whichever arrives first, the rows are the same."""
    tellers = [Teller(tmp_path / f"{number}.db", sqlite_template, number) for number in (1, 2)]
    for teller, key in zip(tellers, (ONE, TWO), strict=True):
        teller.credential = key
        teller.write(TOLD, [Heard(1, 3)])
    accept(tellers[1], TWO)
    for teller in reversed(tellers):
        move(teller.engine, engine)
    with engine.connect() as connection:
        known = known_credentials(connection, ACCOUNT)
    assert {key: found.accepted for key, found in known.items()} == {ONE: False, TWO: True}
    assert [known[key].added_ns for key in (ONE, TWO)] == [NOON_NS + 1_007_000_000, NOON_NS + 1_014_000_000]


def test_all_credentials_of_an_account_but_one_must_be_accepted() -> None:
    def said(*known: tuple[str, int, bool]) -> KnownCredentials:
        return {key: KnownCredential(added_ns, accepted) for key, added_ns, accepted in known}

    assert conflict("a", {}, {}) is None
    assert conflict("a", said((ONE, 1, False)), said((ONE, 5, False))) is None
    assert conflict("a", said((ONE, 1, False), (TWO, 2, True))) is None
    assert conflict("a", said((ONE, 1, False), (TWO, 2, True)), said((TWO, 1, False))) is None
    assert f"{ONE} and {TWO})" in str(conflict("a", said((TWO, 2, False)), said((ONE, 1, False))))
    assert f"{ONE} and {THREE})" in str(conflict("a", said((ONE, 1, False), (TWO, 2, True), (THREE, 3, False))))
    assert conflict("a", said((ONE, 1, False), (TWO, 2, False)), said((ONE, 9, True))) is None
