"""The folder of an export: written beside its place under another name, and renamed when it is complete and durable."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

from recorder.errors import ExportError

#: Held while an export is written, to tell an export in progress from one that was killed.
LOCK = ".lock"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to write into. When complete, it is renamed to the target; otherwise it is deleted.

    Only a process that is killed leaves its files, in a hidden folder beside the target; the next export to the same
    target deletes them.

    Args:
        target: the final path; nothing may be there.

    Raises:
        ExportError: there is something, or it cannot be written.
    """
    if os.path.lexists(target):
        raise ExportError(f"{target} exists; name another folder, or remove that one.")
    parent = target.absolute().parent
    if not parent.is_dir():
        raise ExportError(f"The folder {parent} does not exist; create it, or name another.")
    partial = parent / f".{target.absolute().name}.partial"
    lock = FileLock(partial / LOCK)
    try:
        try:
            _make(partial, lock)
            yield partial
            for folder, _, _ in os.walk(partial):
                _flush(Path(folder))  # the names of the files
            partial.rename(target)
            # Not earlier: without it, another export to this target would take the folder for that of a killed one.
            (target / LOCK).unlink()
            _flush(target)
            _flush(parent)
        except BaseException:
            if lock.is_locked:
                shutil.rmtree(partial, ignore_errors=True)
            raise
        finally:
            lock.release()
    except OSError as error:
        raise _explained(target, error) from error


def _make(partial: Path, lock: FileLock) -> None:
    """Create the folder, without what a killed export left in it, and lock it."""
    try:
        if partial.is_dir():
            lock.acquire(timeout=0)
            shutil.rmtree(partial)
            lock.release()
        partial.mkdir()
        try:
            lock.acquire(timeout=0)
        except KeyboardInterrupt:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    except (Timeout, FileExistsError):
        raise ExportError(f"Another export is writing to {partial}; wait for it, or name another folder.") from None


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explained(target: Path, error: OSError) -> ExportError:
    cause = error.strerror or error
    if error.errno in _FULL:
        problem = f"There is no room for {target} ({cause}); free some space, or name another folder"
    else:
        problem = f"{target} cannot be written ({cause}); check the permissions there, or name another folder"
    return ExportError(f"{problem}: nothing of the export is left.")


class HashedFile:
    """A new file that hashes what is written to it. Close it, which flushes it to disk, or abandon it.

    Attributes:
        bytes: written so far.
        closed: whether nothing more can be written. pyarrow asks, and prints an error raised then instead of passing it
            on: no code runs here, so no signal is handled.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not buffered: what is left in a buffer when the disk is full would be written again and again.
        self._file = path.open("xb", buffering=0)
        self._hash = sha256()
        self._abandoned = False
        self.bytes = 0
        self.closed = False

    @property
    def sha256(self) -> str:
        """The hash of what was written, in hexadecimal."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> int:
        """Write all of it."""
        if self._abandoned:
            return len(data)
        self._hash.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self.bytes += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Flush it to disk and close it."""
        if not self.closed:
            os.fsync(self._file.fileno())
            self._file.close()
            self.closed = True

    def abandon(self) -> None:
        """Close it, to be deleted. Later writes, such as a footer that pyarrow still wants to write, are ignored."""
        self._abandoned = self.closed = True
        self._file.close()
