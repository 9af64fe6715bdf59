"""One recorder a database: two that write and checkpoint one SQLite file could lose commits (SQLite before 3.51.3)."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from recorder.errors import DatabaseBusy, DatabaseError
from recorder.store.engine import database_path, is_file
from recorder.store.sqlite import require_folder


@contextmanager
def sole_writer(url: str) -> Iterator[None]:
    """Hold the right to write to a file; the system gives it back when the process dies. A server keeps order itself.

    Raises:
        DatabaseBusy: another recorder holds it.
        DatabaseError: the folder is not there, or the lock file cannot be made in it.
    """
    if not is_file(url):
        yield
        return
    path = database_path(url).resolve()  # one file has one lock, whatever leads to it
    require_folder(path)
    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise DatabaseBusy(f"Another recorder is writing to {path}; stop it, or name another database.") from None
    except OSError as error:
        raise DatabaseError(
            f"{path}.lock cannot be made ({error.strerror}); give this user the right to write to that folder."
        ) from None
    try:
        yield
    finally:
        lock.release()
