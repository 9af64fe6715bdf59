"""The commands of the README and of "Getting started" work as pasted, and every Python snippet runs."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from recorder.venues import VENUES
from tests.depth import ALL, share
from tests.docs.exchange import Truth
from tests.docs.pages import CHECKOUT, PAGES, blocks, named
from tests.integration import forked

#: How long each run of a page records; the pages say longer.
RECORDING = "1s"
#: How a block begins that installs or builds. `test_pages.py` checks what it names.
INSTALLS = ("pip ", "make ", "git ", "recorder demo")
SERVERS = ("recorder simulate", "recorder serve")


class Walkthrough:
    """The shell of somebody who pastes a page's commands, beginning in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: list[subprocess.Popen[str]] = []
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = {**os.environ, "PATH": path, "HOME": str(folder), "COLUMNS": "120"}
        self._port = free_port()

    def close(self) -> None:
        """End the servers."""
        for server in self._servers:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=20)
        assert [server.returncode for server in self._servers] == [0] * len(self._servers)

    def paste(self, block: str) -> None:
        """Run a block; what serves goes on in the background, as in a second terminal."""
        script = re.sub(r"--for \d+s", f"--for {RECORDING}", block.replace("9010", str(self._port)))
        for line in re.findall(rf"^(?:{'|'.join(SERVERS)}).*$", script, re.MULTILINE):
            script = script.replace(line, "")
            self._serve(line)
        if ALL:
            self._run(script)
            return
        for is_command, lines in groupby(script.splitlines(), lambda line: line.startswith("recorder ")):
            for piece in lines if is_command else ["\n".join(lines)]:
                self._fork(piece) if is_command else self._run(piece)

    def _fork(self, line: str) -> None:
        """Run one command as the shell would, without the time that a new process takes for its imports."""
        command, _, file = line.partition(" > ")
        ended = forked.run(shlex.split(command, comments=True)[1:], self._folder, self._environment, 60)
        assert ended.returncode == 0, f"{line}\n{ended.stdout}\n{ended.stderr}"
        if file:
            (self._folder / file).write_text(ended.stdout, encoding="utf-8")

    def _run(self, script: str) -> None:
        if not script.strip():
            return
        exported = self._folder.parent / "exported"
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{script}\nenv -0 > {exported}"],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, f"{script}\n{ended.stdout}\n{ended.stderr}"
        # What a block exports is there for the blocks after it.
        self._environment = dict(line.split("=", 1) for line in exported.read_text().rstrip("\0").split("\0"))

    def _serve(self, line: str) -> None:
        command = line if "--port" in line else f"{line} --port {free_port()}"
        server = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._servers.append(server)
        assert server.stdout is not None
        assert server.stdout.readline(), f"{line} ended with {server.wait()}"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@pytest.fixture
def walkthrough(tmp_path: Path) -> Iterator[Walkthrough]:
    folder = tmp_path / "empty"
    folder.mkdir()
    made = Walkthrough(folder)
    yield made
    made.close()


#: FMex's page has no commands: nobody can record it any more.
OF_VENUES = [f"docs/venues/{venue}.md" for venue in VENUES if venue != "fmex"]


@pytest.mark.timeout(300)
@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("sqlite3")), reason="needs bash and sqlite3")
@pytest.mark.parametrize(
    "name",
    share(["README.md", "docs/getting-started.md", *OF_VENUES], "README.md"),
)
def test_every_command_works_as_pasted(walkthrough: Walkthrough, name: str) -> None:
    every = [block for _, block in blocks(CHECKOUT / name, "sh")]
    pasted = [block for block in every if not block.startswith(INSTALLS)]
    assert len(pasted) >= 3
    for block in pasted:
        walkthrough.paste(block)


def test_a_command_that_fails_is_found(walkthrough: Walkthrough) -> None:
    with pytest.raises(AssertionError, match="no-such-option"):
        walkthrough.paste("recorder status --no-such-option\n")


def snippets() -> list[tuple[str, str]]:
    return [(named(page), snippet) for page in PAGES for _, snippet in blocks(page, "python")]


@pytest.mark.parametrize(("page", "snippet"), snippets())
def test_every_snippet_runs(
    sample_file: tuple[Path, Truth], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, snippet: str
) -> None:
    shutil.copy(sample_file[0], tmp_path / "recorder.db")
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, page, "exec"), {"__name__": "snippet"})
