"""Notice that a database file was moved, deleted or replaced during a run, and save its content.

SQLite opens a database and its write-ahead log by name, once, and then writes to those files wherever they are. If
somebody moves the database, commits still succeed, into a log that is no longer beside it, and the next program that
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
#: How long a rescue waits for readers that block a checkpoint before it copies the database instead, seconds.
READERS_S = 5.0
#: NFS and FUSE rename a deleted file that is still open to a name like this, and delete it on closing.
_DELETED_WHILE_OPEN = (".nfs", ".fuse_hidden")
#: Errors of `os.stat` for a name without a file.
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}

#: Offset of the number of pages in the log's index (sqlite.org/walformat.html, section 2.1).
_PAGES_AT = 20

_Key = tuple[int, int]


class _Located(NamedTuple):
    """The present location of an open file."""

    #: Whether it still has a name, so that it outlives this process.
    exists: bool
    #: That name, if the system knows it.
    path: Path | None


class HeldFile:
    """Holds a database open during a run, with a connection of its own that neither reads nor writes rows.

    Meanwhile SQLite never replaces the files beside the database, so another file under one of their names means that
    somebody moved or replaced them. The connection reaches the files wherever they are.

    Args:
        path: the database, which must exist and have a write-ahead log.

    Attributes:
        overwritten: whether another file was copied over the database. Then nothing may be written to it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._real = path.resolve()  # SQLite puts its files beside the target of a link
        self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        # A connection opens the log on its first read.
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
        """Describe what happened to the files since the run began, as the first half of a sentence; None: nothing."""
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
        """Complete a displaced database in a file that lasts. Call it when nothing writes any more.

        Returns:
            Where everything is, or why it could not be saved, as the second half of a sentence.
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
        """Copy the log into the database and empty it, so that no other database meets it. Returns its success."""
        by_s = time.monotonic() + READERS_S
        while not self.checkpoint("TRUNCATE"):
            if time.monotonic() >= by_s:
                return False
        return True

    def _set_log_aside(self) -> str:
        """Move the log away from the database that was copied over its own, because SQLite would mix the two."""
        aside = self._stamped(self._names[WAL])
        try:
            shutil.copyfile(self._names[WAL], aside)
            os.truncate(self._names[WAL], 0)
        except OSError as error:
            return f"what was recorded since that copy was made is lost; delete {self._names[WAL]} ({error})"
        return f"what was recorded since that copy was made is lost, but for the last write-ahead log ({aside})"

    def _copy(self) -> Path:
        """Copy the database with its log into a new file beside its old name, or in the nearest existing folder."""
        copy = self._stamped(next(folder for folder in self._path.parents if folder.is_dir()) / self._path.name)
        with closing(sqlite3.connect(copy)) as target:
            self._connection.backup(target)
        # The log may have a name that another database will use.
        self.checkpoint("TRUNCATE")
        return copy

    def _beside(self, end: str) -> Path:
        return self._real.with_name(self._real.name + end)

    def _leads_elsewhere(self, end: str) -> bool:
        try:
            return _key(self._names[end]) != self._keys[end]
        except OSError:
            return False  # the folder cannot be read at the moment, which means nothing

    def _was_overwritten(self) -> bool:
        """Whether the file is shorter than before, and than SQLite expects. A `VACUUM` changes both."""
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
        """Find the open database. Unknown counts as deleted, because a superfluous copy does no harm."""
        descriptor = _descriptor(self._keys[""])
        if descriptor is None:
            return _Located(exists=False, path=None)
        path = _path_of(descriptor, self._keys[""])
        doomed = path is not None and path.name.startswith(_DELETED_WHILE_OPEN)
        return _Located(os.fstat(descriptor).st_nlink > 0 and not doomed, None if doomed else path)


def _descriptor(key: _Key | None) -> int | None:
    """A descriptor that SQLite has open for a file. Closing one of our own would drop SQLite's locks (fcntl(2))."""
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
    """The name of an open file, if the system knows it (proc(5)) and it leads there."""
    try:
        path = Path(f"/dev/fd/{number}").readlink()
    except OSError:
        return None
    return path if _key(path) == key else None


def _key(path: Path) -> _Key | None:
    """The file that a name leads to; None: no file. Raises OSError if that is unknown."""
    try:
        found = path.stat()
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    return found.st_dev, found.st_ino
