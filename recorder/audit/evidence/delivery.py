"""Deliver checkpoints: append each to a file elsewhere, or give it to a command on its standard input.

Only a checkpoint that has left the machine binds its owner. Either delivery may hang for any time (a network file
system, a command that waits for a password), so it runs in a thread that nothing waits for (`live/sender.py`).
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

#: Time limit of a command for one checkpoint, seconds.
COMMAND_S = 30.0
#: The last bytes of a file of notes, which contain a signature.
_END_BYTES = 4096
#: How long to wait for a killed process, seconds.
_KILLED_S = 1.0


class Delivery(Protocol):
    """A destination of checkpoints."""

    #: The destination, for messages.
    place: str

    def send(self, note: str) -> None:
        """Deliver a note.

        Raises:
            NotDelivered: with the reason.
        """
        ...

    def abandon(self) -> None:
        """Abort a delivery in another thread, if that is possible."""
        ...


class NoteFile:
    """A file that notes are appended to, with an empty line between them.

    Args:
        path: of the file; it is created if necessary, but not its folder.
    """

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        self._path = path

    def send(self, note: str) -> None:
        """Append a note and flush it to disk, or leave the file unchanged."""
        try:
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                size = os.fstat(file).st_size
                try:
                    self._append(file, size, note)
                except OSError:
                    # Half a note would make every later one unreadable.
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
            raise OSError("it contains something else; name a file for checkpoints only")
        # A note cut off by a power failure must not become part of this one.
        between = "" if not end or end.endswith(b"\n\n") else "\n" if end.endswith(b"\n") else "\n\n"
        data = f"{between}{note}".encode()
        if os.write(file, data) != len(data):
            raise OSError("there is no room for all of it")
        os.fsync(file)

    def abandon(self) -> None:
        """Does nothing: a file system that hangs cannot be interrupted."""


class NoteCommand:
    """A command, run without a shell, that reads each note from its standard input.

    Its standard error is the recorder's.

    Args:
        arguments: the program and its arguments.
        environment: of the process.
        limit_s: its time limit, seconds.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], limit_s: float = COMMAND_S) -> None:
        self.place = arguments[0]
        self._arguments = list(arguments)
        self._environment = dict(environment)
        self._limit_s = limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._abandoned = False

    def send(self, note: str) -> None:
        """Run the command once."""
        try:
            process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=self._environment,
                # A process group of its own: Ctrl-C does not reach it, and its children are killed with it.
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
        """Kill the command and its children."""
        self._abandoned = True
        process = self._process
        if process is not None and process.poll() is None:
            _kill(process)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_KILLED_S)
