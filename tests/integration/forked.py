"""Commands in processes forked from one that has imported everything: a process each, without a second of imports.

Each has its own working folder, environment, standard streams, signals and exit code, as when a shell starts it.
`make test-all` starts every command anew instead.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

#: What the first process imports: the tree of commands, and with it what they need.
PRELOAD = ["tests.integration.forked_imports"]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(PRELOAD)


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
        streams = [f"/proc/{os.getpid()}/fd/{stream.fileno()}" for stream in (out, errors)]
        process = _context.Process(target=_main, args=(list(arguments), str(folder), env, streams))
        process.start()
        process.join(timeout_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(["recorder", *arguments], timeout_s)
        code = process.exitcode
        process.close()
        texts = []
        for stream in (out, errors):
            stream.seek(0)
            texts.append(stream.read().decode().replace("\r\n", "\n"))
        return subprocess.CompletedProcess(["recorder", *arguments], code, *texts)


def _main(arguments: list[str], folder: str, env: dict[str, str], streams: list[str]) -> None:
    from recorder.cli import main

    for number, path in enumerate(streams, start=1):
        # Appending: what a child of the command writes stands behind, not over it.
        opened = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = ["recorder", *arguments]
    main()
