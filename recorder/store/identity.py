"""Which recorder a database file is.

Each recorder is one database file, with its own gaps and its own chain of seals. If two files continued as one
recorder, they would contradict each other. So a copy is another recorder, unless its owner says that it replaces the
original.

Nothing inside a file tells a copy from the original. The table `identity`, which never leaves a file, therefore keeps
the recorder's random id with the file's last location: host, path, device and inode. Later, a file is the same one

- if its inode and its device are the same, though it may have been renamed; or
- if its inode, path and host are the same, because device numbers can change at a reboot; or
- if its path and host are the same, and it was adopted by its path, for file systems whose inodes do not last.

Any other file is a copy. It continues as a recorder of its own, unless it is adopted (`recorder db adopt`): then it
continues as the recorder it was copied from, and its next run says so in the sealed event log. The numbers are kept as
text, because inodes on CIFS and FUSE use all 64 bits.
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
    """Where a database file is, which distinguishes it from its copies."""

    host: str
    path: str
    device: str
    #: None: not compared.
    inode: str | None


def location_of(path: Path) -> Location:
    """Return a file's present location."""
    found = path.stat()
    return Location(platform.node(), str(path.resolve()), str(found.st_dev), str(found.st_ino))


class Adopted(NamedTuple):
    """The result of adopting a file."""

    recorder_id: int
    #: The recorder that the file was since it was copied, if any. It ends here.
    closed_id: int | None
    #: Whether anything changed.
    changed: bool


class Identity(NamedTuple):
    """The row of `identity`: the recorder that a file was when it was last recorded into, and its location then."""

    recorder_id: int
    host: str
    path: str
    device: str
    inode: str | None
    #: The recorder that this file was a copy of when it became a recorder of its own.
    copy_of: int | None = None
    #: That recorder's last location.
    copy_of_host: str | None = None
    copy_of_path: str | None = None
    #: When it was adopted, ns since 1970, until a run has written it into the event log.
    adopted_ns: int | None = None

    def is_at(self, here: Location) -> bool:
        """Whether the file at this location is the one that was recorded into, not a copy."""
        same_name = (self.host, self.path) == (here.host, here.path)
        if self.inode is None:
            return same_name
        return self.inode == here.inode and (same_name or self.device == here.device)

    def moved(self, here: Location) -> "Identity":
        """Return the same recorder at its present location."""
        return self._replace(**here._asdict() | ({"inode": None} if self.inode is None else {}))

    def write(self, connection: Connection) -> None:
        """Store this as the identity of a file."""
        connection.execute(delete(identity))
        connection.execute(insert(identity).values(self._asdict()))


def identity_of(connection: Connection) -> Identity | None:
    """Return a file's identity; None if it was never recorded into."""
    row = connection.execute(select(identity)).first()
    return None if row is None else Identity(*row)


def keep_identity(database: sqlite3.Connection, path: Path) -> None:
    """Let a copy continue as the same recorder, because the original is certainly gone."""
    here = location_of(path)
    database.execute("UPDATE identity SET device = ?, inode = ? WHERE inode IS NOT NULL", (here.device, here.inode))


def adopt(connection: Connection, path: Path, now_ns: int, *, by_path: bool = False) -> Adopted:
    """Let a file continue as the recorder it was copied from, inside the caller's transaction. For the sole writer.

    Args:
        connection: to the file.
        path: the file.
        now_ns: the present time, ns since 1970.
        by_path: from now on, recognise the file by its path instead of its inode.

    Raises:
        DatabaseBusy: the original is being recorded into.
        DatabaseError: the original is still there, or the file was never recorded into.
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
    """Refuse if the original is still there and would continue as the same recorder."""
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
    """The recorder that a file says it is; None if it does not say."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            row = database.execute("SELECT recorder_id FROM identity").fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else int(row[0])
