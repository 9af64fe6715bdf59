"""A database file while a run writes to it: noticing that it was moved, deleted or replaced, and keeping what it holds.

SQLite opens a database and its write-ahead log by name, once, and then writes to whatever those files were. If somebody
moves the database away, commits keep succeeding into a log that no longer lies beside it, and the next program that
opens a database under the old name deletes that log.
"""

import errno
import os
import shutil
import sqlite3
import struct
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple, Self

from recorder.store.identity import keep_identity
from recorder.store.sqlite import BUSY_TIMEOUT_MS

#: SQLite's own files beside the database.
WAL, SHM = "-wal", "-shm"
#: How long a rescue waits for readers that hold up a checkpoint before it copies the database instead, seconds.
READERS_S = 5.0
#: NFS and FUSE give a deleted file that is still open a name like this, and delete it when it is closed.
_DELETED_WHILE_OPEN = (".nfs", ".fuse_hidden")
#: What `os.stat` says of a name that leads nowhere.
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}

#: Where the log's index says how many pages the database has (sqlite.org/walformat.html, section 2.1).
_PAGES_AT = 20

_Key = tuple[int, int]


class _Located(NamedTuple):
    """Where an open file is now."""

    #: Whether it still has a name, and so outlives this process.
    exists: bool
    #: That name, if the system tells it.
    path: Path | None


class HeldFile:
    """Holds a database open for the length of a run, with a connection of its own that neither reads nor writes rows.

    While it is held, SQLite never replaces the files beside the database, so another file under one of their names
    means that somebody moved or replaced them; and the connection reaches the files wherever they are.

    Args:
        path: of the database, which must exist and have a write-ahead log.

    Attributes:
        overwritten: whether another file's content was copied over the database's. Nothing may be written to it then.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._real = path.resolve()  # SQLite puts its own files beside the one a link leads to
        self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        # A connection opens the log with its first read.
        self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        self._names = {"": self._path, WAL: self._beside(WAL), SHM: self._beside(SHM)}
        self._keys = {end: _key(name) for end, name in self._names.items()}
        self.overwritten = False
        self._bytes = self._path.stat().st_size
        (self._page_bytes,) = self._connection.execute("PRAGMA page_size").fetchone()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._connection.close()

    def displaced(self) -> str | None:
        """Say what happened to the files since the run began, as the first half of a sentence; None: nothing."""
        changed = [end for end in self._names if self._leads_elsewhere(end)]
        if not changed:
            self.overwritten = self._was_overwritten()
            return f"{self._path} was overwritten while the recorder was running" if self.overwritten else None
        if changed[0] != "":
            return f"{self._names[changed[0]]} was moved or deleted while the recorder was running"
        located = self._locate()
        if located.path is not None:
            what = f"moved to {located.path}"
        elif located.exists:
            what = "moved"
        elif self._path.exists():
            what = "replaced by another file"
        else:
            what = "deleted, or moved to another file system,"
        return f"{self._path} was {what} while the recorder was running"

    def checkpoint(self, mode: str = "PASSIVE") -> bool:
        """Copy the write-ahead log into the database, wherever both are now.

        Args:
            mode: `PASSIVE` waits for nobody; `TRUNCATE` waits for readers and leaves the log empty.

        Returns:
            Whether the database now holds everything.
        """
        with suppress(sqlite3.Error):
            busy, pages, copied = self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
            return not busy and pages == copied
        return False

    def rescue(self) -> str:
        """Make a displaced database complete, in a file that lasts. Call it once nothing writes any more.

        Returns:
            Where everything is, or why it could not be kept, as the second half of a sentence.
        """
        if self.overwritten:
            return self._set_log_aside()
        located = self._locate()
        if located.exists and self._empty_log():
            return f"everything received is in {located.path or 'the moved file'}"
        try:
            copy = self._copy()
            if not located.exists:
                with closing(sqlite3.connect(copy)) as target, target:
                    keep_identity(target, copy)
            return f"everything received is in {copy}"
        except (sqlite3.Error, OSError) as error:
            return f"what was received could not be kept ({error})"

    def _empty_log(self) -> bool:
        """Whether the whole log could be copied into the database and emptied: no other database may ever meet it."""
        by_s = time.monotonic() + READERS_S
        while not self.checkpoint("TRUNCATE"):
            if time.monotonic() >= by_s:
                return False
        return True

    def _set_log_aside(self) -> str:
        """Keep the log away from the database that was copied over its own: SQLite would mix the two."""
        aside = self._stamped(self._names[WAL])
        try:
            shutil.copyfile(self._names[WAL], aside)
            os.truncate(self._names[WAL], 0)
        except OSError as error:
            return f"what was recorded since that copy was made is lost; delete {self._names[WAL]} ({error})"
        return f"what was recorded since that copy was made is lost, but for the last write-ahead log ({aside})"

    def _copy(self) -> Path:
        """Copy the database, the log included, into a new file beside its old name, or as near as there is a folder."""
        copy = self._stamped(next(folder for folder in self._path.parents if folder.is_dir()) / self._path.name)
        with closing(sqlite3.connect(copy)) as target:
            self._connection.backup(target)
        # The log may lie under a name that another database will use.
        self.checkpoint("TRUNCATE")
        return copy

    def _beside(self, end: str) -> Path:
        return self._real.with_name(self._real.name + end)

    def _leads_elsewhere(self, end: str) -> bool:
        try:
            return _key(self._names[end]) != self._keys[end]
        except OSError:
            return False  # the folder cannot be looked at just now: that tells nothing

    def _was_overwritten(self) -> bool:
        """Whether the file is shorter than before and than SQLite knows it to be. A `VACUUM` changes both."""
        with suppress(OSError):
            before, self._bytes = self._bytes, self._path.stat().st_size
            if self._bytes < before:
                descriptor = _descriptor(self._keys[SHM])
                if descriptor is not None:
                    (pages,) = struct.unpack_from("=I", os.pread(descriptor, _PAGES_AT + 4, 0), _PAGES_AT)
                    return bool(self._bytes < pages * self._page_bytes)
        return False

    @staticmethod
    def _stamped(path: Path) -> Path:
        return path.with_name(f"{path.name}.rescued-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")

    def _locate(self) -> _Located:
        """Where the open database is now. Unknown counts as deleted: a copy too many harms nobody."""
        descriptor = _descriptor(self._keys[""])
        if descriptor is None:
            return _Located(exists=False, path=None)
        path = _path_of(descriptor, self._keys[""])
        doomed = path is not None and path.name.startswith(_DELETED_WHILE_OPEN)
        return _Located(os.fstat(descriptor).st_nlink > 0 and not doomed, None if doomed else path)


def _descriptor(key: _Key | None) -> int | None:
    """A descriptor that SQLite has open for a file. Never open one: closing it would drop SQLite's locks (fcntl(2))."""
    try:
        numbers = [int(entry.name) for entry in Path("/dev/fd").iterdir()]
    except OSError:
        return None
    for number in numbers:
        with suppress(OSError):
            found = os.fstat(number)
            if (found.st_dev, found.st_ino) == key:
                return number
    return None


def _path_of(number: int, key: _Key | None) -> Path | None:
    """The name of an open file, where the system tells it (proc(5)) and it leads there."""
    try:
        path = Path(f"/dev/fd/{number}").readlink()
    except OSError:
        return None
    return path if _key(path) == key else None


def _key(path: Path) -> _Key | None:
    """Which file a name leads to; None: to none. Raises OSError if that cannot be told."""
    try:
        found = path.stat()
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    return found.st_dev, found.st_ino
