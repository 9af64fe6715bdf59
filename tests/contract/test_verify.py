"""What `verify` looks at, and what it must not take for an edit: whatever a recorder may have left."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from recorder.audit.evidence.checkpoint import checkpoint_of
from recorder.audit.verify import batches, verification
from recorder.audit.verify import findings as kinds
from recorder.audit.verify.chain import Claim
from recorder.audit.verify.findings import Finding, Verified, merge_consecutive
from recorder.audit.verify.verification import Verification, Wanted
from recorder.model import time_ordered_id
from recorder.store.crosscheck import compare_sessions
from recorder.store.entries import RunStarted, SessionOpened
from recorder.store.identity import adopt
from recorder.store.journal import Batch
from recorder.store.merkle import Frontier
from recorder.store.mover import Mover
from recorder.store.opening import open_run
from recorder.store.redactions import redact, redactable
from tests.contract.chronicle import BESIDE, FIRST, LAST, LONG, MAIN, OTHER, RUN_3, Chronicle
from tests.contract.story import Heard, Teller, Told
from tests.contract.test_mover import move
from tests.made import ACCOUNT, NOON_NS, quick_engine, received, unguard

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_two_recorders_merged_and_compared",
    "test_quick_looks_at_frames_and_seals",
)

S = 1_000_000_000
TOLD = [Told(at, at) for at in range(1, 60)]
FRAMES, PER_BATCH = 1_000, 30


def verify(url: str, wanted: Wanted | None = None) -> tuple[list[Finding], Verified]:
    verifying = Verification(url, wanted or Wanted(jobs=1))
    return list(verifying), verifying.verified


@pytest.fixture
def chronicle(written: Chronicle, engine: Engine) -> Chronicle:
    """A chronicle, moved into a database of this engine."""
    move(quick_engine(written.url), engine)
    return written


@pytest.fixture
def tellers(tmp_path: Path, sqlite_template: Path) -> Iterator[list[Teller]]:
    """Two recorders of one account."""
    tellers = [Teller(tmp_path / f"{number}.db", sqlite_template, number) for number in (1, 2)]
    yield tellers
    for teller in tellers:
        teller.engine.dispose()


def change(engine: Engine, statement: str, **values: object) -> None:
    with engine.begin() as connection:
        unguard(connection)
        connection.execute(text(statement), values)


def test_an_empty_record(url: str) -> None:
    assert verify(url) == ([], Verified())


def test_two_recorders_merged_and_compared(tellers: list[Teller], engine: Engine, url: str) -> None:
    tellers[0].write(TOLD, [Heard(0, 20, "crashed"), Heard(25, 60)])
    tellers[1].write(TOLD, [Heard(0, 40), Heard(45, 60, "stopped")], missed=frozenset([10]))
    for teller in reversed(tellers):
        move(teller.engine, engine)
    assert [one.unseen for one in compare_sessions(engine)] == [1, 0, 0]
    found, seen = verify(url)
    assert found == []
    with engine.connect() as connection:
        assert seen.frames == connection.exec_driver_sql("SELECT count(*) FROM frames").scalar()


def test_while_a_merge_is_under_way(tellers: list[Teller], engine: Engine, url: str) -> None:
    tellers[0].write(TOLD, [Heard(0, 20, "crashed"), Heard(25, 60)])
    mover = Mover(tellers[0].engine, engine, frames_max=7)
    while mover.step() is not None:
        assert verify(url)[0] == []
    mover.close()


def redacted(teller: Teller, who: str) -> None:
    with teller.engine.connect() as connection:
        chosen = list(redactable(connection, ACCOUNT, before_ns=NOON_NS + 10 * S))
    list(redact(teller.engine, teller.url, chosen, who, "why"))


@pytest.mark.parametrize("moved_before", [False, True])
def test_after_a_redaction(tellers: list[Teller], engine: Engine, url: str, moved_before: bool) -> None:
    tellers[0].write(TOLD, [Heard(0, 20), Heard(25, 60)])
    if moved_before:
        move(tellers[0].engine, engine)
    redacted(tellers[0], "one")
    move(tellers[0].engine, engine)
    for place in (tellers[0].url, url):
        found, seen = verify(place)
        assert (found, seen.redacted) == ([], 10)


def test_copies_that_were_redacted_each_by_its_own_owner(
    tellers: list[Teller], tmp_path: Path, engine: Engine, url: str
) -> None:
    """Both say so, and whichever is merged first is believed."""
    tellers[0].write(TOLD, [Heard(0, 20), Heard(25, 60)])
    tellers[0].engine.dispose()
    copy = tellers[1]
    shutil.copy(tmp_path / "1.db", tmp_path / "2.db")
    redacted(tellers[0], "one")
    redacted(copy, "another")
    for teller in reversed(tellers):
        move(teller.engine, engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT DISTINCT who FROM redactions").scalars().all() == ["another"]
    assert verify(url)[0] == []


def test_what_is_counted(chronicle: Chronicle, url: str) -> None:
    found, seen = verify(url)
    assert found == []
    assert (seen.batches, seen.seals, seen.checkpoints, seen.redacted) == (chronicle.seals, chronicle.seals, 1, 10)
    assert seen.not_checked == ()


def test_processes_find_what_one_finds(
    chronicle: Chronicle, engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(engine, "UPDATE frames SET received_ns = received_ns + 1 WHERE seq IN (20, 21, 300)")
    alone, seen = verify(url)
    # Small parts, so that there is something to share out; the processes only ever see what they are given.
    monkeypatch.setattr(verification, "FRAMES_PER_RANGE", 100)
    together_found, together_seen = verify(url, Wanted(jobs=2))
    assert (sorted(together_found, key=str), together_seen) == (sorted(alone, key=str), seen)
    assert {one.kind for one in alone} == {kinds.FRAME_CHANGED}


def test_only_one_account(chronicle: Chronicle, engine: Engine, url: str) -> None:
    change(engine, "UPDATE frames SET received_ns = received_ns + 1 WHERE seq = 20 AND session_id = :s", s=FIRST)
    assert verify(url, Wanted(account_id=OTHER, jobs=1))[0] == []
    ((found,), seen) = verify(url, Wanted(account_id=MAIN, jobs=1))
    assert (found.kind, found.account, found.session_id, found.seq) == (kinds.FRAME_CHANGED, "main", FIRST, 20)
    assert len(seen.not_checked) == 1
    change(engine, "UPDATE frames SET received_ns = received_ns + 1 WHERE seq = 20 AND session_id = :s", s=BESIDE)
    ((found,), _) = verify(url, Wanted(account_id=OTHER, jobs=1))
    assert (found.account, found.session_id) == ("other", BESIDE)


def test_a_batch_with_two_connections_of_the_account_is_looked_at_once(
    tellers: list[Teller], engine: Engine, url: str
) -> None:
    tellers[0].write(TOLD, [Heard(1, 5)])
    with tellers[0].engine.begin() as connection:
        run, seal, _ = open_run(connection, tellers[0].url, RunStarted(1 << 50, 0, NOON_NS, "host", 1, "v"), ())
        batch = Batch(run.recorder_id, run.run_id, 1, seal)
        for session_id in ((1 << 50) + 1, (1 << 50) + 2):
            batch.entries.append(SessionOpened(ACCOUNT, session_id, run.run_id, "wss://x", ("account",), NOON_NS))
            for seq in range(3):
                batch.add(*received(seq, session_id=session_id))
        batch.write(connection, NOON_NS)
    move(tellers[0].engine, engine)
    _, whole = verify(url)
    found, seen = verify(url, Wanted(account_id=ACCOUNT, jobs=1))
    assert (found, seen.frames, seen.seals) == ([], whole.frames, whole.seals - 3), "three batches hold no frame"
    change(engine, "UPDATE frames SET payload = :empty WHERE seq = 1 AND session_id = :s", empty=b"", s=(1 << 50) + 1)
    found, _ = verify(url, Wanted(account_id=ACCOUNT, quick=True, jobs=1))
    assert [(one.session_id, one.seq) for one in found] == [((1 << 50) + 1, 1)]


def test_only_a_time(chronicle: Chronicle, engine: Engine, url: str) -> None:
    """The long session alone: its run begins 200,000 s after the record."""
    change(engine, "UPDATE frames SET payload = :empty WHERE seq = 20 AND session_id < :s", empty=b"{}", s=LAST)
    since, until = NOON_NS + 200_000 * S, NOON_NS + 300_000 * S
    found, seen = verify(url, Wanted(since_ns=since, until_ns=until, jobs=1))
    assert [(one.session_id, one.seq) for one in found] == [(LONG, 20)]
    assert 0.3 * FRAMES < seen.frames < 0.4 * FRAMES
    assert "orders, fills and latest states" in seen.not_checked[-1]
    assert verify(url, Wanted(since_ns=until, jobs=1))[0] == []
    assert {one.session_id for one in verify(url, Wanted(until_ns=since, jobs=1))[0]} >= {FIRST, BESIDE}


def test_a_part_of_a_session(chronicle: Chronicle, engine: Engine, url: str) -> None:
    """Batches are looked at whole, and the first of them follows from the seal before."""
    with engine.connect() as connection:
        within = text("SELECT received_ns FROM frames WHERE session_id = :s AND seq = 200")
        at_ns = connection.execute(within, {"s": LONG}).scalar_one()
    found, seen = verify(url, Wanted(since_ns=at_ns, until_ns=at_ns + 1, jobs=1))
    assert (found, seen.frames) == ([], PER_BATCH)
    change(engine, "UPDATE batches SET written_ns = written_ns + 1 WHERE run_id = :r AND batch = 8", r=RUN_3)
    found, _ = verify(url, Wanted(since_ns=at_ns - 1000 * S, until_ns=at_ns + 1000 * S, jobs=1))
    assert [(one.kind, one.batch) for one in found] == [(kinds.CHAIN_BROKEN, 8)]


def test_quick_looks_at_frames_and_seals(chronicle: Chronicle, engine: Engine, url: str) -> None:
    change(engine, "UPDATE heartbeats SET gap_ms = 5")
    assert [one.kind for one in verify(url)[0]] == [kinds.ROW_CHANGED]
    found, seen = verify(url, Wanted(quick=True, jobs=1))
    assert found == []
    assert "leave --quick away" in seen.not_checked[0]
    assert "orders, fills and latest states" in seen.not_checked[1]
    change(engine, "UPDATE frames SET payload = :empty WHERE seq = 30 AND session_id = :s", empty=b"{}", s=LONG)
    assert [one.seq for one in verify(url, Wanted(quick=True, jobs=1))[0]] == [30]


def test_frames_that_follow_each_other_are_one_finding() -> None:
    def lost(seq: int, **fields: int) -> Finding:
        return Finding("x", "frames", "gone", session_id=1, seq=seq, last_seq=seq)._replace(**fields)  # type: ignore[arg-type]

    several = [lost(3), lost(4, batch=9), lost(5), lost(7), lost(8, session_id=2)]
    assert [(one.seq, one.last_seq) for one in merge_consecutive(several)] == [(3, 5), (7, 7), (8, 8)]
    assert list(merge_consecutive([])) == []


def test_pieces_of_a_few_frames_find_the_same(
    chronicle: Chronicle, engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small a piece is, and however large its frames."""
    change(engine, "UPDATE frames SET received_ns = received_ns + 1 WHERE seq IN (20, 21, 300)")
    found, seen = verify(url)
    monkeypatch.setattr(batches, "PIECE_BYTES", 1)
    assert verify(url) == (found, seen)


BACKED_UP = 10


def backup_of(teller: Teller, path: Path) -> Path:
    """A backup made in the middle of a recorder's only run: its last batch is `BACKED_UP`."""
    shutil.copy(teller.engine.url.database or "", path)
    backup = quick_engine(f"sqlite:///{path}")
    with backup.begin() as connection:
        unguard(connection)
        for table in ("batches", "seals", "spans", "event_log"):
            connection.execute(text(f"DELETE FROM {table} WHERE batch > :last"), {"last": BACKED_UP})
        for table in ("frames", "order_updates", "receipts"):
            column = "last_seq" if table == "receipts" else "seq"
            connection.execute(text(f"DELETE FROM {table} WHERE {column} >= :last"), {"last": BACKED_UP})
    backup.dispose()
    return path


def restored(teller: Teller, backup: Path) -> None:
    """Put a backup in the place of the original, adopt it, and begin another run in it."""
    teller.engine.dispose()
    place = Path(teller.engine.url.database or "")
    backup.replace(place)
    teller.engine = quick_engine(teller.url)
    with teller.engine.begin() as connection:
        adopt(connection, place, NOON_NS)
        now_ns = time.time_ns()
        open_run(connection, teller.url, RunStarted(time_ordered_id(now_ns), 0, now_ns, "host", 1, "v"), [])


def test_a_server_that_holds_more_than_an_adopted_backup(
    tellers: list[Teller], tmp_path: Path, engine: Engine, url: str
) -> None:
    tellers[0].write(TOLD, [Heard(0, 20, "crashed")])
    with tellers[0].engine.connect() as connection:
        run_id = connection.exec_driver_sql("SELECT run_id FROM runs").scalar_one()
    backup = backup_of(tellers[0], tmp_path / "backup.db")
    move(tellers[0].engine, engine)
    restored(tellers[0], backup)
    assert verify(tellers[0].url)[0] == []
    move(tellers[0].engine, engine)
    ((found,), seen) = verify(url)
    assert (found.kind, found.batch) == (kinds.CHAIN_FORKED, 0)
    assert found.detail == (
        f"run {found.run_id} directly follows batch {BACKED_UP} of run {run_id}, but this record holds batches in "
        "between: one of the two branches was recorded into a copy, such as a restored backup"
    )
    assert seen.not_checked == ()


def test_redactions_before_a_fork_count_and_those_the_backup_lacked_do_not(
    tellers: list[Teller], tmp_path: Path, engine: Engine, url: str
) -> None:
    """No later seal covers what only the original recorded: it could have been added since."""
    tellers[0].write(TOLD, [Heard(0, 20, "crashed")])
    with tellers[0].engine.connect() as connection:
        chosen = list(redactable(connection, ACCOUNT, before_ns=NOON_NS + 5 * S))
    list(redact(tellers[0].engine, tellers[0].url, chosen, "one", "why"))
    backup = tmp_path / "backup.db"
    shutil.copy(tmp_path / "1.db", backup)
    redacted(tellers[0], "one")
    move(tellers[0].engine, engine)
    restored(tellers[0], backup)
    move(tellers[0].engine, engine)
    found, seen = verify(url)
    assert [one.kind for one in found] == [kinds.CHAIN_FORKED, kinds.PAYLOAD_ERASED]
    assert (found[1].seq, found[1].last_seq, seen.redacted) == (5, 9, 5)


@pytest.mark.parametrize(("size", "kind"), [(12, kinds.CHECKPOINT_CONTRADICTED), (20, kinds.TAIL_TRUNCATED)])
def test_a_checkpoint_that_covers_more_than_an_adopted_backup(
    tellers: list[Teller], tmp_path: Path, size: int, kind: str
) -> None:
    tellers[0].write(TOLD, [Heard(0, 20, "crashed")])
    tree = Frontier()
    with tellers[0].engine.connect() as connection:
        recorder_id = connection.exec_driver_sql("SELECT recorder_id FROM runs").scalar_one()
        for seal in connection.exec_driver_sql("SELECT seal FROM seals ORDER BY batch").scalars().all()[:size]:
            tree.add(seal)
    claim = Claim(checkpoint_of(recorder_id, size, tree.root()), "the checkpoint in c.txt", "seals")
    restored(tellers[0], backup_of(tellers[0], tmp_path / "backup.db"))
    ((found,), _) = verify(tellers[0].url, Wanted(jobs=1, claims=[claim]))
    assert (found.kind, tree.size) == (kind, size)
    told = {12: "over 12 seals: the checkpoint in c.txt was signed over other seals", 20: "of which 12 are here"}
    assert told[size] in found.detail
    assert "or was recorded only into the original of which this is a copy, adopted in run" in found.detail
