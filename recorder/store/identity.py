"""Which recorder a database file is.

A recorder is one database file that is recorded into: its gaps and its chain of seals are its own. Two files that both
went on as one recorder would contradict each other wherever they meet, so a copy must be another recorder unless its
owner says that it takes the original's place.

Nothing inside a file tells a copy from the original. The table `identity`, which never leaves a file, therefore keeps
the recorder's random id together with where the file was when it was last recorded into: host, path, device and inode.
Later, a file is the same one

- if its inode is the same, and its device too: it may have been renamed; or
- if inode, path and host are the same: device numbers can change at a reboot; or
- if path and host are the same, and it was adopted by its path: on file systems whose inodes do not last.

Any other file is a copy. It goes on as a recorder of its own, unless it is adopted (`recorder db adopt`): then it goes
on as the recorder it was copied from, and its next run says so in the sealed event log. The numbers are kept as text,
because inodes on CIFS and FUSE use all 64 bits.
"""

import platform
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select

from recorder.errors import DatabaseBusy, DatabaseError
from recorder.store.engine import sole_writer
from recorder.store.schema import identity


class Location(NamedTuple):
    """Where a database file is: what distinguishes it from its copies."""

    host: str
    path: str
    device: str
    #: None: not compared, because it does not last.
    inode: str | None


def location_of(path: Path) -> Location:
    """Where a file is now."""
    found = path.stat()
    return Location(platform.node(), str(path.resolve()), str(found.st_dev), str(found.st_ino))


class Adopted(NamedTuple):
    """What adopting a file did."""

    recorder_id: int
    #: The recorder it was until then, if it had been recorded into as one; it never goes on.
    closed_id: int | None
    #: Whether anything changed.
    changed: bool


class Identity(NamedTuple):
    """The row of `identity`: which recorder a file was when it was last recorded into, and where it was then."""

    recorder_id: int
    host: str
    path: str
    device: str
    inode: str | None
    #: The recorder whose copy this file was when it became one of its own.
    copy_of: int | None = None
    #: Where that one was last recorded into.
    copy_of_host: str | None = None
    copy_of_path: str | None = None
    #: When it was adopted, nanoseconds since 1970; until a run has noted it.
    adopted_ns: int | None = None

    def is_at(self, here: Location) -> bool:
        """Whether the file that is here is the one that was recorded into, and not a copy."""
        same_name = (self.host, self.path) == (here.host, here.path)
        if self.inode is None:
            return same_name
        return self.inode == here.inode and (same_name or self.device == here.device)

    def moved(self, here: Location) -> "Identity":
        """The same recorder in its present place."""
        return self._replace(**here._asdict() | ({"inode": None} if self.inode is None else {}))

    def write(self, connection: Connection) -> None:
        """Make this the identity of a file."""
        connection.execute(delete(identity))
        connection.execute(insert(identity).values(self._asdict()))


def identity_of(connection: Connection) -> Identity | None:
    """The identity that a file was given; None if it was never recorded into."""
    row = connection.execute(select(identity)).first()
    return None if row is None else Identity(*row)


def keep_identity(database: sqlite3.Connection, path: Path) -> None:
    """Let a copy go on as the same recorder, because the original is gone for certain."""
    here = location_of(path)
    database.execute("UPDATE identity SET device = ?, inode = ? WHERE inode IS NOT NULL", (here.device, here.inode))


def adopt(connection: Connection, path: Path, now_ns: int, *, by_path: bool = False) -> Adopted:
    """Let a file go on as the recorder it was copied from, inside the caller's transaction. For the sole writer.

    Args:
        connection: to the file.
        path: of the file.
        now_ns: when, nanoseconds since 1970.
        by_path: from now on, know the file by its path instead of its inode.

    Raises:
        DatabaseBusy: the original is being recorded into.
        DatabaseError: the original is still in its place, or the file was never recorded into.
    """
    known, here = identity_of(connection), location_of(path)
    if known is None:
        raise DatabaseError(f"{path} has never been recorded into; `recorder run` makes it a recorder of its own.")
    if by_path:
        here = here._replace(inode=None)
    is_here = known.is_at(location_of(path))
    if is_here and known.copy_of is None:
        changed = by_path and known.inode is not None
        if changed:
            known._replace(inode=None).moved(here).write(connection)
        return Adopted(known.recorder_id, None, changed)
    if is_here and known.copy_of is not None:
        recorder_id, host, path_there = known.copy_of, known.copy_of_host, known.copy_of_path
    else:
        recorder_id, host, path_there = known.recorder_id, known.host, known.path
    if host == here.host and path_there not in {None, here.path}:
        _require_gone(Path(str(path_there)), recorder_id)
    Identity(recorder_id, *here, adopted_ns=now_ns).write(connection)
    return Adopted(recorder_id, known.recorder_id if is_here else None, changed=True)


def _require_gone(original: Path, recorder_id: int) -> None:
    """Refuse if the original is still there and would go on as the same recorder."""
    if _recorder_in(original) != recorder_id:
        return
    try:
        with sole_writer(f"sqlite:///{original}"):
            pass
    except DatabaseBusy:
        raise DatabaseBusy(
            f"{original} is being recorded into as the same recorder; stop that run for good before you adopt a copy."
        ) from None
    raise DatabaseError(
        f"{original} is still there and would go on as the same recorder; delete it, or rename it and do not record "
        "into it any more, before you adopt a copy."
    )


def _recorder_in(path: Path) -> int | None:
    """Which recorder a file says it is; None if it says nothing."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            row = database.execute("SELECT recorder_id FROM identity").fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else int(row[0])
