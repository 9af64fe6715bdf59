"""The first batch of a run: which recorder a file is, what a crash left, and the order of keys."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from recorder.errors import DatabaseBusy, DatabaseError
from recorder.store import entries
from recorder.store.credentials import DIGITS, fingerprint
from recorder.store.engine import sole_writer
from recorder.store.entries import (
    AccountAdded,
    CredentialAccepted,
    CredentialUsed,
    LogEntry,
    RecorderAdopted,
    RecorderRetired,
    RunEnded,
    RunStarted,
)
from recorder.store.event_log import retired_recorders
from recorder.store.gaps import CRASHED
from recorder.store.identity import Adopted, adopt
from recorder.store.opening import Opened, add_entry, newest_session, open_run
from recorder.store.schema import credentials, event_log, recorders, runs
from tests.contract.story import Heard, Teller, Told
from tests.made import ACCOUNT, NOON_NS, quick_engine

ADDED = AccountAdded(ACCOUNT, "fmex", "main", NOON_NS)


@pytest.fixture
def file(tmp_path: Path, sqlite_template: Path) -> Path:
    return Path(shutil.copy(sqlite_template, tmp_path / "recorder.db"))


@pytest.fixture
def opened(file: Path) -> Iterator[Engine]:
    engine = quick_engine(f"sqlite:///{file}")
    yield engine
    engine.dispose()


def open_it(engine: Engine, file: Path, run_id: int = 10) -> Opened:
    with engine.begin() as connection:
        return open_run(connection, f"sqlite:///{file}", RunStarted(run_id, 0, NOON_NS, "h", 1, "v"), [ADDED])


def opened_at(file: Path, run_id: int) -> Opened:
    engine = quick_engine(f"sqlite:///{file}")
    try:
        return open_it(engine, file, run_id)
    finally:
        engine.dispose()


def recorder_at(file: Path, run_id: int) -> int:
    return opened_at(file, run_id).run.recorder_id


def adopt_it(file: Path, *, by_path: bool = False) -> Adopted:
    engine = quick_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        return adopt(connection, file, NOON_NS + 1, by_path=by_path)


def copied(file: Path, name: str) -> Path:
    return Path(shutil.copy(file, file.with_name(name)))


def entries_of(file: Path, run_id: int) -> list[LogEntry]:
    with quick_engine(f"sqlite:///{file}").connect() as connection:
        bodies = select(event_log.c.body).where(event_log.c.run_id == run_id).order_by(event_log.c.item)
        return [entries.decode(body) for body in connection.scalars(bodies)]


@contextmanager
def numbered(monkeypatch: pytest.MonkeyPatch, **numbers: int) -> Iterator[None]:
    """The file system gives files other numbers: `st_ino`, `st_dev`."""
    whole = Path.stat

    def stat(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        found = list(whole(path, follow_symlinks=follow_symlinks))
        for place, name in ((1, "st_ino"), (2, "st_dev")):
            found[place] = numbers.get(name, found[place])
        return os.stat_result(found)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", stat)
        yield


def test_a_file_is_one_recorder_for_ever(file: Path) -> None:
    first = recorder_at(file, 10)
    assert recorder_at(file, 20) == first
    moved = file.rename(file.with_name("moved.db"))
    assert recorder_at(moved, 30) == first


def test_a_device_may_be_numbered_anew(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = recorder_at(file, 10)
    with numbered(monkeypatch, st_dev=77):
        assert recorder_at(file, 20) == first
    # But a file on another device that has the same inode by chance is a copy.
    other = copied(file, "other.db")
    with numbered(monkeypatch, st_dev=78, st_ino=file.stat().st_ino):
        assert recorder_at(other, 30) != first


@pytest.mark.parametrize("inode", [2**63, 2**64 - 1])
def test_an_inode_may_have_64_bits(file: Path, inode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with numbered(monkeypatch, st_ino=inode):
        assert recorder_at(file, 10) == recorder_at(file, 20)
        copy = copied(file, "copy.db")
    assert recorder_at(copy, 30) != recorder_at(file, 40)


def test_a_copy_is_a_recorder_of_its_own(file: Path) -> None:
    first = recorder_at(file, 10)
    copy = copied(file, "copy.db")
    opened = opened_at(copy, 20)
    assert opened.run.recorder_id != first
    assert opened.warnings == [
        f"{copy} is a copy, and continues as a recorder of its own ({opened.run.recorder_id}): a gap of the original "
        f"({first}) stays open. If it replaces the original, stop and type: recorder db adopt"
    ]
    with quick_engine(f"sqlite:///{copy}").connect() as connection:
        assert len(connection.execute(select(recorders)).all()) == 2
        # What the other one left is the other one's: only it can know whether it goes on.
        assert [run.end_reason for run in connection.execute(select(runs).order_by(runs.c.run_id))] == [None, None]
    assert opened_at(copy, 30).warnings == []


def test_a_copy_that_is_adopted_is_the_same_recorder(file: Path) -> None:
    first = recorder_at(file, 10)
    backup = copied(file, "backup.db")
    assert recorder_at(file, 20) == first
    backup.replace(file)
    assert adopt_it(file) == Adopted(first, None, changed=True)
    assert adopt_it(file).changed is False
    opened = opened_at(file, 30)
    assert (opened.run.recorder_id, opened.warnings) == (first, [])
    # It is sealed, with the beginning of the run; and what it was in the middle of, has ended.
    assert [entry for entry in entries_of(file, 30) if isinstance(entry, RecorderAdopted)] == [
        RecorderAdopted(first, NOON_NS + 1, "h")
    ]
    assert [entry for entry in entries_of(file, 30) if isinstance(entry, RunEnded)] == [RunEnded(10, NOON_NS, CRASHED)]
    assert recorder_at(file, 40) == first
    assert not any(isinstance(entry, RecorderAdopted) for entry in entries_of(file, 40))


def test_a_copy_that_went_on_by_itself_can_still_be_adopted(file: Path) -> None:
    first = recorder_at(file, 10)
    copy = copied(file, "copy.db")
    file.unlink()
    second = recorder_at(copy, 20)
    assert adopt_it(copy) == Adopted(first, second, changed=True)
    assert recorder_at(copy, 30) == first


def test_a_copy_is_not_adopted_while_the_original_is_there(file: Path) -> None:
    recorder_at(file, 10)
    copy = copied(file, "copy.db")
    with pytest.raises(DatabaseError, match=r"recorder\.db is still there and would go on as the same recorder"):
        adopt_it(copy)
    with (
        sole_writer(f"sqlite:///{file}"),
        pytest.raises(DatabaseBusy, match=r"recorder\.db is being recorded into as the same recorder; stop that run"),
    ):
        adopt_it(copy)
    file.write_bytes(b"")
    assert adopt_it(copy).changed


def test_a_copy_that_went_on_by_itself_is_not_adopted_while_the_original_is_there(file: Path) -> None:
    recorder_at(file, 10)
    copy = copied(file, "copy.db")
    recorder_at(copy, 20)
    with pytest.raises(DatabaseError, match="is still there"):
        adopt_it(copy)


def test_a_copy_on_another_machine_is_another_recorder(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = recorder_at(file, 10)
    with monkeypatch.context() as patch, numbered(monkeypatch, st_dev=79):
        # The same path there, and by chance the same inode.
        patch.setattr("platform.node", lambda: "another machine")
        assert recorder_at(file, 20) != first


def test_a_file_system_whose_inodes_do_not_last(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = recorder_at(file, 10)
    with numbered(monkeypatch, st_ino=1):
        assert adopt_it(file, by_path=True) == Adopted(first, None, changed=True)
        assert recorder_at(file, 20) == first
    for number in (2, 3):
        with numbered(monkeypatch, st_ino=number):
            assert recorder_at(file, 20 + number) == first
            assert adopt_it(file, by_path=True).changed is False
    assert recorder_at(copied(file, "copy.db"), 30) != first


def test_a_file_that_was_never_recorded_into_is_nobodys_copy(file: Path) -> None:
    with pytest.raises(DatabaseError, match="has never been recorded into; `recorder run` makes it a recorder"):
        adopt_it(file)


def test_keys_are_in_the_order_of_lives_where_the_clock_has_gone_back(opened: Engine, file: Path) -> None:
    first, second, third = (open_it(opened, file, run_id).run for run_id in (1_000, 10, 2_000))
    assert first.run_id < second.run_id < third.run_id


def test_the_newest_session_counts_rounds_too(tmp_path: Path, sqlite_template: Path) -> None:
    teller = Teller(tmp_path / "one.db", sqlite_template, 1)
    teller.write([Told(2, 1)], [Heard(1, 5, "stopped")])
    with teller.engine.connect() as connection:
        assert newest_session(connection, ACCOUNT) == (1 << 40) + (1 << 8) + 1 + 128
        assert newest_session(connection, 99) == 0
    teller.engine.dispose()


def run_with_key(engine: Engine, file: Path, run_id: int, key: str) -> list[str]:
    with engine.begin() as connection:
        started = RunStarted(run_id, 0, NOON_NS + run_id, "h", 1, "v")
        return open_run(connection, f"sqlite:///{file}", started, [ADDED], {ACCOUNT: key}).warnings


def test_a_run_with_another_key_is_recorded_and_warns_until_the_key_is_accepted(opened: Engine, file: Path) -> None:
    one, other = (fingerprint("fmex", key, "secret") for key in ("one", "other"))
    assert run_with_key(opened, file, 10, one) == run_with_key(opened, file, 20, one) == []
    for run_id in (30, 40):
        (warning,) = run_with_key(opened, file, run_id, other)
        assert f"fingerprints {one} and {other}" in warning
        assert f"`recorder db accept-key fmex/main {other}`" in warning
        assert "Until then, recording goes on" in warning
    assert entries_of(file, 40)[-1] == CredentialUsed(ACCOUNT, other, NOON_NS + 40), "each run says which one it uses"
    accepted = CredentialAccepted(ACCOUNT, other, NOON_NS + 50)
    assert add_entry(opened, f"sqlite:///{file}", accepted, NOON_NS + 50, "key accepted") == []
    assert run_with_key(opened, file, 1 << 62, other) == []
    with opened.connect() as connection:
        assert connection.execute(select(credentials).order_by(credentials.c.added_ns)).all() == [
            (ACCOUNT, one, NOON_NS + 10, 0),
            (ACCOUNT, other, NOON_NS + 30, 1),
        ]


def test_a_fingerprint_needs_the_secret_and_is_the_same_in_every_record() -> None:
    first = fingerprint("fmex", "key", "secret")
    assert first == fingerprint("fmex", "key", "secret")
    others = [("okx", "key", "secret"), ("fmex", "other", "secret"), ("fmex", "key", "other"), ("fmex", "0x1f")]
    assert len({first, *(fingerprint(*other) for other in others)}) == 5
    assert len(first) == DIGITS


def test_a_recorder_is_retired_until_it_runs_again(opened: Engine, file: Path) -> None:
    url = f"sqlite:///{file}"
    recorder_id = open_it(opened, file).run.recorder_id
    for number, retired in enumerate((recorder_id, 9)):
        # The retirement is a run of its own, and does not end itself.
        add_entry(opened, url, RecorderRetired(retired, NOON_NS + 5, "me", "sold"), NOON_NS + 5, f"retired {number}")
    with opened.begin() as connection:
        assert retired_recorders(connection) == {recorder_id, 9}
        assert retired_recorders(connection, NOON_NS + 4) == set()
        assert retired_recorders(connection, NOON_NS + 5) == {recorder_id, 9}
        open_run(connection, url, RunStarted(20, 0, NOON_NS + 7, "h", 1, "v"), [ADDED])
        assert retired_recorders(connection) == {9}
        assert retired_recorders(connection, NOON_NS + 6) == {recorder_id, 9}
