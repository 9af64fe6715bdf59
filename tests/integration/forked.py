"""Commands in processes forked from one that has imported everything: a process each, without a second of imports.

Each has its own working folder, environment, standard streams, signals and exit code, as when a shell starts it.
`make test-all` starts every command anew instead.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

#: What the first process imports: the tree of commands, and with it what they need.
PRELOAD = ["tests.integration.forked_imports"]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(PRELOAD)


class Forked:
    """A command that runs in a process of its own, with the part of `subprocess.Popen` that the tests use.

    Args:
        arguments: the command line, without the program.
        folder: the working folder.
        env: the whole environment.
        out: descriptor of its standard output; the caller may close it afterwards.
        errors: descriptor of its standard error.
        program: what runs; None: `recorder`.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        env: dict[str, str],
        out: int,
        errors: int,
        program: Callable[[], None] | None = None,
    ) -> None:
        self._process: ForkServerProcess = _context.Process(
            target=_main, args=(list(arguments), str(folder), env, _Streams(out, errors), program)
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Return the exit code once it has ended; minus the number of the signal that killed it."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """Return the exit code as soon as it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not within this many seconds.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("recorder", timeout)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        self._process.kill()


class _Streams:
    """Two descriptors of this process that are handed over to the one being started."""

    def __init__(self, out: int, errors: int) -> None:
        self._descriptors = (out, errors)

    def __getstate__(self) -> tuple[Any, ...]:
        return tuple(DupFd(descriptor) for descriptor in self._descriptors)

    def __setstate__(self, copies: tuple[Any, ...]) -> None:
        for number, copy in enumerate(copies, start=1):
            descriptor = copy.detach()
            os.dup2(descriptor, number)
            os.close(descriptor)


def run(
    arguments: Sequence[str], folder: Path, env: dict[str, str], timeout_s: float
) -> "subprocess.CompletedProcess[str]":
    """Run `recorder` with some arguments to its end.

    Args:
        arguments: the command line, without the program.
        folder: the working folder.
        env: the whole environment.
        timeout_s: seconds after which it is killed.

    Raises:
        subprocess.TimeoutExpired: it took longer.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = Forked(arguments, folder, env, out.fileno(), errors.fileno())
        try:
            code = process.wait(timeout_s)
        finally:
            process.kill()
        texts = []
        for stream in (out, errors):
            stream.seek(0)
            texts.append(stream.read().decode().replace("\r\n", "\n"))
        return subprocess.CompletedProcess(["recorder", *arguments], code, *texts)


def _main(
    arguments: list[str], folder: str, env: dict[str, str], _streams: _Streams, program: Callable[[], None] | None
) -> None:
    from recorder.cli import main

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = ["recorder", *arguments]
    (program or main)()
