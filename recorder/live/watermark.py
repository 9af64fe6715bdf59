"""The high-watermark: the last durable frame of each account, and the ack file that shows it to other programs."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from recorder.clock import utc_text
from recorder.errors import ConfigurationError
from recorder.model import REST, SNAPSHOT, Frame

#: Sessions of which the last durable frame is remembered: more than are open at a time.
SESSIONS_MAX = 256


class Mark(NamedTuple):
    """A durable frame; all frames before it in its session are durable, too."""

    session_id: int
    seq: int
    received_ns: int


class Watermark(NamedTuple):
    """What a run has made durable so far."""

    #: The last committed batch.
    batch: int
    #: The number of committed frames.
    frames: int
    #: Account key → its last durable frame.
    marks: Mapping[int, Mark]
    #: Account key and session → its last durable frame, of the sessions that wrote last: an account may have several.
    sessions: Mapping[tuple[int, int], Mark] = MappingProxyType({})

    def after(self, batch: int, frames: Sequence[Frame]) -> "Watermark":
        """The watermark after a batch with these frames."""
        # REST answers are in sessions of their own; a mark is for the pushes.
        last = {(frame.account_id, frame.session_id): frame for frame in frames if frame.source not in {REST, SNAPSHOT}}
        marks, sessions = dict(self.marks), dict(self.sessions)
        for key, frame in last.items():
            sessions.pop(key, None)
            marks[frame.account_id] = sessions[key] = Mark(frame.session_id, frame.seq, frame.received_ns)
        while len(sessions) > SESSIONS_MAX:
            del sessions[next(iter(sessions))]
        return Watermark(batch, self.frames + len(frames), marks, sessions)


#: A larger file is not an ack file.
ACK_BYTES_MAX = 2**20


class AckFile:
    """A small JSON file, replaced as a whole after each commit, so that readers never see half of it.

    Nothing is written before `begin`: a run that is refused because another recorder runs must not reset that one's
    file.

    Args:
        path: of the file.
        names: account key → account name.
        database: the database file, which must not be overwritten.

    Raises:
        ConfigurationError: there is no such folder, or something else would be overwritten.
    """

    def __init__(self, path: Path, names: Mapping[int, str], database: Path) -> None:
        self._path = path
        self._next = path.parent / f"{path.name}.next"
        self._names = names
        if not path.absolute().parent.is_dir():
            raise self._unwritable("no such folder")
        # Files that belong to the database: those of SQLite, and our lock.
        its_own = {Path(f"{database.resolve()}{end}") for end in ("", "-wal", "-shm", "-journal", ".lock")}
        if not its_own.isdisjoint({path.resolve(), self._next.resolve()}):
            raise ConfigurationError(f"The ack file {path} is the database's own; name a file that holds nothing else.")
        if path.exists() and not self._holds_an_ack():
            raise ConfigurationError(
                f"{path} holds something else, which an ack file would replace; name a file that holds nothing else."
            )

    def begin(self) -> None:
        """Write that nothing is durable yet.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        try:
            self.write(Watermark(0, 0, {}))
        except OSError as error:
            self._next.unlink(missing_ok=True)
            raise self._unwritable(error.strerror or type(error).__name__) from error

    def write(self, watermark: Watermark) -> None:
        """Write what is durable."""
        accounts = {
            self._names[account_id]: mark._asdict() | {"received_utc": utc_text(mark.received_ns)}
            for account_id, mark in watermark.marks.items()
        }
        content = {"batch": watermark.batch, "frames": watermark.frames, "accounts": accounts}
        self._next.write_text(json.dumps(content) + "\n", "utf-8")
        os.replace(self._next, self._path)  # noqa: PTH105  atomic by name

    def _holds_an_ack(self) -> bool:
        """Whether the existing file is an earlier ack file, or empty."""
        try:
            if not self._path.is_file() or self._path.stat().st_size > ACK_BYTES_MAX:
                return False
            content = self._path.read_bytes()
            return not content or json.loads(content).keys() == {"batch", "frames", "accounts"}
        except (OSError, ValueError, AttributeError, RecursionError):
            return False

    def _unwritable(self, cause: str) -> ConfigurationError:
        return ConfigurationError(
            f"The ack file {self._path} cannot be written: {cause}; name a file in a folder that exists."
        )
