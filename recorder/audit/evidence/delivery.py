"""Where checkpoints go: a file elsewhere that each is appended to, a command that gets each on its standard input.

Only what has left the machine binds its owner. Both may hang for as long as they like (a file system behind a network,
a command that waits for a password): who sends does so in a thread that nobody waits for (`live/sender.py`).
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from recorder.audit.evidence.checkpoint import SIGNED_BY
from recorder.errors import NotDelivered

#: A command may take so long for a checkpoint, seconds.
COMMAND_S = 30.0
#: In so much of a file's end there is a signature, if it is one of notes.
_END_BYTES = 4096
#: A process that was killed is gone after this, seconds, or the system holds it.
_KILLED_S = 1.0


class Way(Protocol):
    """A way out."""

    #: In words.
    place: str

    def send(self, note: str) -> None:
        """Bring a note there.

        Raises:
            NotDelivered: with the reason.
        """
        ...

    def abandon(self) -> None:
        """End what goes on in another thread, if that is possible."""
        ...


class NoteFile:
    """A file that notes are appended to, an empty line between them.

    Args:
        path: of the file; it is made where there is none, but not its folder.
    """

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        self._path = path

    def send(self, note: str) -> None:
        """Append a note, and have it on the disk; or leave the file as it was."""
        try:
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                size = os.fstat(file).st_size
                try:
                    self._append(file, size, note)
                except OSError:
                    # Half a note would stand in the way of every later one.
                    with suppress(OSError):
                        os.ftruncate(file, size)
                    raise
            finally:
                os.close(file)
        except OSError as error:
            raise NotDelivered(f"{self.place} cannot be written: {error.strerror or error}.") from error

    def _append(self, file: int, size: int, note: str) -> None:
        end = os.pread(file, _END_BYTES, max(size - _END_BYTES, 0))
        if end and SIGNED_BY.encode() not in end:
            raise OSError("something else is in it, and would be spoilt; name a file that holds nothing else")
        # What broke off there, in a power cut, must not be taken for a part of this one.
        between = "" if not end or end.endswith(b"\n\n") else "\n" if end.endswith(b"\n") else "\n\n"
        data = f"{between}{note}".encode()
        if os.write(file, data) != len(data):
            raise OSError("there is no room for all of it")
        os.fsync(file)

    def abandon(self) -> None:
        """Nothing can be done about a file system that hangs."""


class NoteCommand:
    """A command that gets each note on its standard input, started without a shell.

    What it says on standard error appears among the recorder's own lines.

    Args:
        arguments: the program, and what it is started with.
        environment: of the process.
        limit_s: how long it may take, seconds.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], limit_s: float = COMMAND_S) -> None:
        self.place = arguments[0]
        self._arguments = list(arguments)
        self._environment = dict(environment)
        self._limit_s = limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._abandoned = False

    def send(self, note: str) -> None:
        """Run it once."""
        try:
            process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=self._environment,
                # A group of its own: Ctrl-C is not meant for it, and what it starts ends with it.
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            cause = error.strerror if isinstance(error, OSError) else str(error)
            raise NotDelivered(f"{self.place} cannot be started: {cause}.") from error
        self._process = process
        if self._abandoned:
            _kill(process)
        try:
            process.communicate(note.encode(), self._limit_s)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise NotDelivered(f"{self.place} did not end within {self._limit_s:g} s and was killed.") from None
        if process.returncode < 0:
            raise NotDelivered(f"{self.place} was ended by signal {-process.returncode}.")
        if process.returncode:
            raise NotDelivered(f"{self.place} failed: it ended with {process.returncode}.")

    def abandon(self) -> None:
        """Kill it, and what it has started."""
        self._abandoned = True
        process = self._process
        if process is not None and process.poll() is None:
            _kill(process)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_KILLED_S)
