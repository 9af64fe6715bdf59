"""The high-watermark: the last frame of each account known durable, and the file that tells it to others."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from recorder.clock import utc_text
from recorder.errors import ConfigurationError
from recorder.model import REST, SNAPSHOT, Frame


class Mark(NamedTuple):
    """One frame; every frame of its session up to it is durable too."""

    session_id: int
    seq: int
    received_ns: int


class Watermark(NamedTuple):
    """What one run has made durable."""

    #: The last batch committed.
    batch: int
    #: Frames committed so far.
    frames: int
    #: Account key → its last durable frame.
    marks: Mapping[int, Mark]

    def after(self, batch: int, frames: Sequence[Frame]) -> "Watermark":
        """The watermark once these frames are committed."""
        marks = dict(self.marks)
        for frame in _last_of_each(frames):
            marks[frame.account_id] = Mark(frame.session_id, frame.seq, frame.received_ns)
        return Watermark(batch, self.frames + len(frames), marks)


def _last_of_each(frames: Sequence[Frame]) -> Sequence[Frame]:
    # Answers of REST are in sessions of their own, which end by themselves: nobody waits for those.
    last = {frame.account_id: frame for frame in frames if frame.source not in {REST, SNAPSHOT}}
    return list(last.values())


#: An ack file is small: one that is larger is something else.
ACK_BYTES_MAX = 2**20


class AckFile:
    """A small JSON file that a reader finds whole at every instant, replaced after each commit.

    Naming one writes nothing: a run that is refused, because another recorder is at work perhaps, must not put back
    what that one has told. `begin` does, once the run is under way.

    Args:
        path: where.
        names: account key → its name.
        database: whose watermark it tells; a file that must never be replaced.

    Raises:
        ConfigurationError: there can be no such file there, or something else is there, which would be lost.
    """

    def __init__(self, path: Path, names: Mapping[int, str], database: Path) -> None:
        self._path = path
        self._next = path.parent / f"{path.name}.next"
        self._names = names
        if not path.absolute().parent.is_dir():
            raise self._unwritable("no such folder")
        # The database's own files begin with its name: SQLite's `-wal`, `-shm` and `-journal`, and our `.lock`.
        its_own = {Path(f"{database.resolve()}{end}") for end in ("", "-wal", "-shm", "-journal", ".lock")}
        if not its_own.isdisjoint({path.resolve(), self._next.resolve()}):
            raise ConfigurationError(f"The ack file {path} is the database's own; name a file that holds nothing else.")
        if path.exists() and not self._holds_an_ack():
            raise ConfigurationError(
                f"{path} holds something else, which an ack file would replace; name a file that holds nothing else."
            )

    def begin(self) -> None:
        """Tell that nothing is durable yet.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        try:
            self.write(Watermark(0, 0, {}))
        except OSError as error:
            self._next.unlink(missing_ok=True)
            raise self._unwritable(error.strerror or type(error).__name__) from error

    def write(self, watermark: Watermark) -> None:
        """Tell what is durable."""
        accounts = {
            self._names[account_id]: mark._asdict() | {"received_utc": utc_text(mark.received_ns)}
            for account_id, mark in watermark.marks.items()
        }
        told = {"batch": watermark.batch, "frames": watermark.frames, "accounts": accounts}
        self._next.write_text(json.dumps(told) + "\n", "utf-8")
        os.replace(self._next, self._path)  # noqa: PTH105  atomic by name

    def _holds_an_ack(self) -> bool:
        """Whether what is there is an ack of an earlier run, or an empty file that somebody made to hold one."""
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
