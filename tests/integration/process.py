"""The recorder as its users run it: a process, with a configuration in a folder, signals, and what it printed."""

import json
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from recorder.simulator import Simulator
from recorder.venues import venue_named
from recorder.venues.binance.stand_in.face import product_of
from recorder.venues.binance.words import COIN_M
from recorder.venues.kraken.names import DERIVATIVES, is_contract
from tests.depth import ALL
from tests.integration import forked
from tests.waiting import wait_until

#: How long anything may take before a test gives up, seconds. Ample: other tests share the machine.
PATIENCE_S = 60.0


def environment_of(exchange: Simulator) -> str:
    """The environment of its venue that has what an exchange trades; empty: the venue's default."""
    venue, traded = venue_named(exchange.options.venue), exchange.options.symbols
    if venue.name == "binance" and product_of(venue.stand_in.terms(traded)) == COIN_M:
        return COIN_M
    if venue.name == "kraken" and any(map(is_contract, traded)):
        return DERIVATIVES
    return ""


class Folder:
    """A user's folder: a configuration that names the simulator, and what the recorder makes beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "recorder.db"
        self.ack_file = path / "ack.json"
        self.env: dict[str, str] = {}
        #: Whether each command is a new process as a shell starts it, for tests that look at the process itself (its
        #: memory, its command line, what Python reads at its start), instead of one forked from a process that has
        #: imported everything.
        self.anew = ALL

    def configure(
        self,
        simulator: Simulator,
        *,
        symbols: Sequence[str] = (),
        accounts: Mapping[str, str] | None = None,
        limits: Mapping[str, float] | None = None,
        server: str | None = None,
        checkpoints: Mapping[str, object] | None = None,
    ) -> None:
        """Write recorder.toml; accounts are name → key, by default `main` with the simulator's first.

        `symbols` are for exchanges that need them; none: those that the simulator trades by default. With the address
        of a server's database, `database` is the journal in front of it. REST is not behind the pushes here, unless
        `limits` allow for it.
        """
        limits = {"reconcile_settle_s": 0.01, **(limits or {})}
        lines = []
        if checkpoints is not None:
            lines += ["[checkpoints]", *(f"{name} = {json.dumps(value)}" for name, value in checkpoints.items())]
        if server is not None:
            self.database = self.path / "recorder-journal.db"
            lines += ["[database]", f'url = "{server}"']
        lines += ["[limits]", *(f"{name} = {value}" for name, value in limits.items())]
        # A recorder that is to notice silence soon must ask for signs of life more often than the venue needs.
        silent_s = limits.get("silent_s", math.inf)
        lines += self._accounts(simulator, accounts or {"main": simulator.key}, symbols, silent_s / 3)
        self.write("\n".join(lines) + "\n")

    def add_accounts(self, simulator: Simulator, accounts: Mapping[str, str]) -> None:
        """Add accounts of another simulator to recorder.toml: name → key."""
        lines = self._accounts(simulator, accounts, (), math.inf)
        file = self.path / "recorder.toml"
        self.write(file.read_text() + "\n".join(lines) + "\n")

    def _accounts(
        self,
        simulator: Simulator,
        accounts: Mapping[str, str],
        symbols: Sequence[str],
        heartbeat_max_s: float,
    ) -> list[str]:
        """Lines of recorder.toml; the credentials go into the environment."""
        venue, environment, lines = venue_named(simulator.options.venue), environment_of(simulator), []
        for name, key in accounts.items():
            lines += [f"[accounts.{name}]", f'venue = "{venue.name}"', f'url = "{simulator.url}"']
            if environment:
                lines.append(f'environment = "{environment}"')
            given = venue.stand_in.credentials(key, simulator.options.accounts[key])
            for field in venue.credential_fields:
                variable = f"{field.name.upper()}_{name.upper()}"
                self.env[variable] = given[field.name]
                lines.append(f'{field.name} = "env:{variable}"')
            if venue.needs_symbols:
                lines.append(f"symbols = {json.dumps(list(symbols or venue.stand_in.default_symbols))}")
            lines.append(f"heartbeat_s = {min(heartbeat_max_s, venue.heartbeat_s)}")
        return lines

    def write(self, text: str) -> None:
        """Write recorder.toml."""
        (self.path / "recorder.toml").write_text(text)

    def copied_to(self, path: Path) -> "Folder":
        """Return a copy with the same configuration and environment; its database is a file of its own."""
        copy = Folder(Path(shutil.copytree(self.path, path, dirs_exist_ok=True)))
        copy.env = dict(self.env)
        return copy

    def run(self, *arguments: str, under: Sequence[str] = ()) -> "Process":
        """Start `recorder run`, under another program where one is given."""
        return Process(self, "run", *arguments, under=under)

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        env = os.environ | self.env
        if not self.anew:
            return forked.run(arguments, self.path, env, PATIENCE_S)
        return subprocess.run(
            [sys.executable, "-m", "recorder", *arguments],
            cwd=self.path,
            env=env,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What a fresh reader finds."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            return database.execute(sql, parameters).fetchall()

    def payloads(self, account: str = "main") -> list[bytes]:
        """Every frame received for an account, in order."""
        sql = "SELECT payload FROM frames JOIN accounts USING (account_id) WHERE name = ? AND source = 'push'"
        return [payload for (payload,) in self.rows(f"{sql} ORDER BY session_id, seq", account)]

    def acknowledged(self) -> dict[str, Any]:
        """What the ack file says."""
        told: dict[str, Any] = json.loads(self.ack_file.read_text())
        return told

    def wait_acknowledged(self, frames: int, process: "Process") -> None:
        """Wait until the process says that so many frames are durable."""
        process.wait_for("covered")
        process.wait_until(lambda: self.acknowledged()["frames"] >= frames)

    def record(self, exchange: Simulator, *arguments: str) -> str:
        """Run until everything that the exchange sends is durable, whatever the machine is busy with, and stop.

        Returns what was printed.
        """
        with self.run(*arguments) as process:
            self.finish(process, exchange)
        return process.errors

    def finish(self, process: "Process", exchange: Simulator) -> None:
        """Wait until the exchange has made all its pushes and what it sent is durable, and stop the run."""
        process.wait_for("covered")
        exchange.wait_finished(PATIENCE_S * 5)
        sent = len(exchange.sent)
        process.wait_until(lambda: self.rows("SELECT count(*) FROM frames WHERE source = 'push'") >= [(sent,)])
        code, _ = process.stop()
        assert code == 0, process.errors

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another program holds the database's write lock."""
        with closing(sqlite3.connect(self.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")


class Process:
    """A recorder process. As a context manager it is killed at the end, if it still runs.

    Args:
        folder: where it runs.
        arguments: its command line.
        show: whether what it prints on standard output counts too.
        under: the command of a program that runs it.
        program: what runs instead of `recorder`, in a forked process.
    """

    def __init__(
        self,
        folder: Folder,
        *arguments: str,
        show: bool = False,
        under: Sequence[str] = (),
        program: Callable[[], None] | None = None,
    ) -> None:
        self._changed = threading.Condition()
        self._lines: list[str] = []
        self._over = False
        env = os.environ | folder.env
        reading, writing = os.pipe()
        with Path(os.devnull).open("w") as nowhere:
            out, errors = (writing, writing) if show else (nowhere.fileno(), writing)
            self._process: subprocess.Popen[bytes] | forked.Forked
            if under or (folder.anew and program is None):
                command = [*under, sys.executable, "-m", "recorder", *arguments]
                self._process = subprocess.Popen(command, cwd=folder.path, env=env, stdout=out, stderr=errors)
            else:
                self._process = forked.Forked(arguments, folder.path, env, out, errors, program)
        os.close(writing)
        self._printed = os.fdopen(reading, encoding="utf-8")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self.wait()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def peak_bytes(self) -> int:
        """The most memory it has held so far (proc(5), `VmHWM`)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    @property
    def errors(self) -> str:
        """Everything printed so far."""
        return "".join(self._lines)

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until a text has been printed so many times."""
        with self._changed:
            enough = self._changed.wait_for(lambda: self._over or self.errors.count(text) >= times, PATIENCE_S)
        assert enough and self.errors.count(text) >= times, f"{text!r} was not printed, but:\n{self.errors}"

    def wait_until(self, done: Callable[[], object]) -> None:
        """Ask until it is so; if the process has ended before, the test fails with what was printed."""
        wait_until(lambda: done() or not self.running, patience_s=PATIENCE_S * 5, failed=lambda: self.errors)
        assert done(), self.errors

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal; returns the exit code, and how long the end took in seconds."""
        began_s = time.monotonic()
        self.send(number)
        return self.wait(), time.monotonic() - began_s

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        """Wait for its end; returns the exit code."""
        code = self._process.wait(patience_s)
        self._reader.join(PATIENCE_S)
        self._printed.close()
        return code

    def _read(self) -> None:
        for line in self._printed:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()
