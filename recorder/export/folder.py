"""The folder of an export: written beside its place under another name, and put there when it is whole and durable."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

from recorder.errors import ExportError

#: Held while an export is written, so that what a killed one left behind can be told from one that goes on.
LOCK = ".lock"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to write into. Whole, it is at its target; otherwise, whatever happened, nothing of it is left.

    Only a process that is killed on the spot leaves its files, in a hidden folder beside the target; the next export
    to this target takes them away.

    Args:
        target: where it is to be; nothing may be there.

    Raises:
        ExportError: there is something, or it cannot be written.
    """
    if os.path.lexists(target):
        raise ExportError(f"{target} is there already; name another folder, or take that one away.")
    parent = target.absolute().parent
    if not parent.is_dir():
        raise ExportError(f"The folder {parent} does not exist; make it, or name another.")
    partial = parent / f".{target.absolute().name}.partial"
    lock = FileLock(partial / LOCK)
    try:
        try:
            _make(partial, lock)
            yield partial
            _flush_folders(partial)
            partial.rename(target)
            # Not before: without it, another export to this target would take the folder for a killed one's.
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
    """Make the folder anew, and hold it."""
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


def _flush_folders(folder: Path) -> None:
    """Bring the names of all files to the disk."""
    for place, _, _ in os.walk(folder):
        _flush(Path(place))


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explained(target: Path, error: OSError) -> ExportError:
    cause = error.strerror or error
    if error.errno in _FULL:
        told = f"There is no room for {target} ({cause}); make room, or name another folder"
    else:
        told = f"{target} cannot be written ({cause}); look at the rights there, or name another folder"
    return ExportError(f"{told}: nothing of the export is left.")


class HashedFile:
    """A new file that hashes what is written to it. It must be closed, which brings it to the disk, or abandoned."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not buffered: what is left in a buffer when a disk is full would be tried again and again.
        self._file = path.open("xb", buffering=0)
        self._hash = sha256()
        self._abandoned = False
        self.bytes = 0

    @property
    def closed(self) -> bool:
        """Whether nothing more can be written."""
        return self._file.closed

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
        """Nothing is held back."""

    def close(self) -> None:
        """Bring it to the disk."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()

    def abandon(self) -> None:
        """Let go of it: it will be deleted. A writer that still wants to end it well is not heard."""
        self._abandoned = True
        self._file.close()
