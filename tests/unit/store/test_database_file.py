"""A database file that is moved, deleted or overwritten while it is written to."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from recorder.errors import DatabaseError
from recorder.store import database_file
from recorder.store.database_file import HeldFile
from recorder.store.engine import open_engine

ROWS = 200


class Writing:
    """A database that is being written to: a table of numbers, most of them still in the log."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("CREATE TABLE numbers (number INTEGER, padding BLOB)")
        self._connection.execute("CREATE TABLE identity (device TEXT, inode TEXT)")
        self._connection.execute("INSERT INTO identity VALUES ('1', '2')")
        self.held = HeldFile(path)
        self.add(ROWS)

    def add(self, rows: int) -> None:
        self._connection.execute("BEGIN")
        for number in range(rows):
            self._connection.execute("INSERT INTO numbers VALUES (?, zeroblob(500))", [number])
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()
        self.held.__exit__()


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[Writing]:
    (tmp_path / "data").mkdir()
    writing = Writing(tmp_path / "data" / "recorder.db")
    yield writing
    writing.close()


def count(path: Path) -> int:
    """The rows of a database file by itself, without a log."""
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(database.execute("SELECT count(*) FROM numbers").fetchone()[0])


def rescued(folder: Path) -> Path:
    (found,) = folder.glob("recorder.db.rescued-*")
    return found


def move(path: Path) -> Path:
    return path.rename(path.with_name("old.db"))


def move_with_its_log(path: Path) -> Path:
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").rename(path.with_name(f"old.db{end}"))
    return path.with_name("old.db")


def move_the_folder(path: Path) -> Path:
    return path.parent.rename(path.parent.with_name("elsewhere")) / path.name


def move_and_put_another_there(path: Path) -> Path:
    old = move(path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE letters (words)")
    return old


def link_and_delete(path: Path) -> Path:
    path.with_name("link.db").hardlink_to(path)
    path.unlink()
    return path.with_name("link.db")


@pytest.mark.parametrize("act", [move, move_with_its_log, move_the_folder, move_and_put_another_there, link_and_delete])
def test_a_moved_database_is_completed_where_it_is(writing: Writing, act: Callable[[Path], Path]) -> None:
    assert writing.held.displaced() is None
    moved = act(writing.path)
    writing.add(5)
    what = writing.held.displaced()
    assert what is not None
    assert what.startswith(f"{writing.path} was moved")
    assert what.endswith("while the recorder was running")
    told = writing.held.rescue()
    assert told == f"everything received is in {'the moved file' if act is link_and_delete else moved}"
    assert count(moved) == ROWS + 5


def delete(path: Path) -> Path:
    path.unlink()
    return path.parent


def delete_with_its_log(path: Path) -> Path:
    for file in path.parent.iterdir():
        file.unlink()
    return path.parent


def delete_the_folder(path: Path) -> Path:
    shutil.rmtree(path.parent)
    return path.parent.parent


def replace(path: Path) -> Path:
    with closing(sqlite3.connect(path.with_name("backup.db"))) as backup:
        backup.execute("CREATE TABLE numbers (number INTEGER, padding BLOB)")
    path.with_name("backup.db").replace(path)
    return path.parent


def delete_as_nfs_does(path: Path) -> Path:
    path.rename(path.with_name(".nfs0001"))
    return path.parent


@pytest.mark.parametrize("act", [delete, delete_with_its_log, delete_the_folder, replace, delete_as_nfs_does])
def test_a_deleted_database_is_copied(writing: Writing, act: Callable[[Path], Path]) -> None:
    folder = act(writing.path)
    writing.add(5)
    what = writing.held.displaced()
    assert what is not None
    assert ("replaced by another file" if act is replace else "deleted") in what
    told = writing.held.rescue()
    copy = rescued(folder)
    assert told == f"everything received is in {copy}"
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("SELECT count(*) FROM numbers").fetchone() == (ROWS + 5,)
        # The original is gone: its copy goes on as the same recorder.
        assert database.execute("SELECT inode FROM identity").fetchone() == (str(copy.stat().st_ino),)
    if act is replace:
        # The log lay under the name of the other file's: SQLite would have played it into that.
        assert count(writing.path) == 0


@pytest.mark.parametrize("end", ["-wal", "-shm"])
def test_a_log_that_is_deleted(writing: Writing, end: str) -> None:
    Path(f"{writing.path}{end}").unlink()
    writing.add(5)
    assert writing.held.displaced() == f"{writing.path}{end} was moved or deleted while the recorder was running"
    assert writing.held.rescue() == f"everything received is in {writing.path}"
    assert count(writing.path) == ROWS + 5


def test_a_reader_that_holds_up_the_checkpoint(writing: Writing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_file, "READERS_S", 0.0)
    with closing(sqlite3.connect(writing.path, isolation_level=None)) as reader:
        reader.execute("PRAGMA busy_timeout=1")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM numbers").fetchone()
        writing.add(5)
        writing.held._connection.execute("PRAGMA busy_timeout=1")
        move(writing.path)
        assert writing.held.displaced() is not None
        assert writing.held.rescue() == f"everything received is in {rescued(writing.path.parent)}"
    with closing(sqlite3.connect(rescued(writing.path.parent))) as database:
        assert database.execute("SELECT count(*) FROM numbers").fetchone() == (ROWS + 5,)


def test_a_rescue_that_fails_says_so(writing: Writing, monkeypatch: pytest.MonkeyPatch) -> None:
    writing.path.unlink()
    monkeypatch.setattr(HeldFile, "_stamped", lambda _self, path: path / "no" / "such" / "folder")
    assert writing.held.rescue() == "what was received could not be kept (unable to open database file)"


def test_a_backup_that_is_copied_over_the_database(writing: Writing) -> None:
    writing.held.checkpoint()
    backup = Path(shutil.copy(writing.path, writing.path.with_name("backup.db")))
    assert count(backup) == ROWS
    writing.add(500)
    writing.held.checkpoint()
    assert writing.held.displaced() is None
    writing.add(5)
    shutil.copy(backup, writing.path)
    assert writing.held.displaced() == f"{writing.path} was overwritten while the recorder was running"
    assert writing.held.rescue().startswith("what was recorded since that copy was made is lost, but for the last ")
    writing.close()
    # What it leaves under that name is the backup, and nothing of the log went into it.
    with closing(sqlite3.connect(writing.path)) as database:
        assert database.execute("SELECT count(*) FROM numbers").fetchone() == (ROWS,)
    assert count(writing.path) == ROWS


def test_a_vacuum_is_not_taken_for_another_file(writing: Writing) -> None:
    writing.held.checkpoint("TRUNCATE")
    assert writing.held.displaced() is None
    before = writing.path.stat().st_size
    with closing(sqlite3.connect(writing.path, isolation_level=None)) as other:
        other.execute("DELETE FROM numbers WHERE number > 9")
        other.execute("VACUUM")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert writing.path.stat().st_size < before
    assert writing.held.displaced() is None


def test_a_folder_that_cannot_be_looked_at_tells_nothing(writing: Writing, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(database_file, "_key", refuse)
    assert writing.held.displaced() is None


@pytest.mark.parametrize("left", ["nothing", "an empty file"])
def test_no_database_is_made_where_the_log_of_a_missing_one_lies(writing: Writing, left: str) -> None:
    """SQLite would delete it."""
    copy = Path(shutil.copy(f"{writing.path}-wal", f"{writing.path.with_name('new.db')}-wal"))
    if left == "an empty file":
        writing.path.with_name("new.db").touch()
    before = copy.read_bytes()
    with pytest.raises(DatabaseError, match=r"new\.db is missing, but .*new\.db-wal holds the last part of it: put"):
        open_engine(f"sqlite:///{writing.path.with_name('new.db')}")
    assert copy.read_bytes() == before
