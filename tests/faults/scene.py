"""A scene: a recorder process and its exchange, a fault between them, and the oracle at the end."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic

from recorder.live.watermark import Mark
from recorder.simulator import Simulator
from tests.faults.complete import judge_fills, wait_reconciled
from tests.faults.oracle import Verdict, judge
from tests.faults.proxy import Proxy
from tests.faults.table import read_table, unproved
from tests.integration.process import Folder, Process
from tests.waiting import wait_until

#: Waits that a test can afford; the account is told as soon as a session is covered.
QUICK = {"reconnect_first_s": 0.05, "reconnect_last_s": 0.2, "silent_s": 2.0, "batch_frames_max": 200}

COVERED = ": covered, "


class Scene:
    """One scenario.

    Args:
        folder: where the recorder runs.
        exchange: what it records.
        report: where the verdict goes.
    """

    def __init__(
        self, folder: Folder, exchange: Simulator, report: Callable[[str, Verdict, list[float]], None]
    ) -> None:
        self.folder = folder
        self.exchange = exchange
        self.acked: list[Mark] = []
        #: How long each recovery took, seconds.
        self.recover_s: list[float] = []
        #: The server's database, where there is one behind the journal.
        self.server: str | None = None
        self._report = report
        self._is_reconciled = False
        self.configure()

    def configure(self, proxy: Proxy | None = None, limits: Mapping[str, float] | None = None) -> None:
        """Write the configuration, with the exchange behind a proxy where there is one."""
        self.folder.configure(self.exchange, limits=QUICK | dict(limits or {}), server=self.server)
        if proxy is not None:
            file = self.folder.path / "recorder.toml"
            file.write_text(file.read_text().replace(self.exchange.url, proxy.url))

    def run(self, *arguments: str, under: tuple[str, ...] = ()) -> Process:
        """Start a recorder."""
        self.note_acknowledged()
        return self.folder.run("--ack-file", str(self.folder.ack_file), *arguments, under=under)

    @contextmanager
    def running(self) -> Iterator[Process]:
        """A recorder that is well, and stopped in order at the end."""
        with self.run() as process:
            process.wait_for(COVERED)
            yield process
            self.stop(process)

    def stop(self, process: Process) -> None:
        """Stop it in order."""
        code, _ = process.stop()
        assert code == 0, process.errors

    @contextmanager
    def recovery(self, process: Process) -> Iterator[None]:
        """From the end of the block, wait until all topics are acknowledged once more than before it."""
        before = process.errors.count(COVERED)
        yield
        began_s = monotonic()
        process.wait_for(COVERED, before + 1)
        self.recover_s.append(monotonic() - began_s)

    @contextmanager
    def outage(self, process: Process) -> Iterator[None]:
        """As `recovery`, but measured from the beginning: of a fault that only the watchdog notices."""
        before = process.errors.count(COVERED)
        began_s = monotonic()
        yield
        process.wait_for(COVERED, before + 1)
        self.recover_s.append(monotonic() - began_s)

    @contextmanager
    def recovered(self) -> Iterator[None]:
        """The block is a recovery: measure it."""
        began_s = monotonic()
        yield
        self.recover_s.append(monotonic() - began_s)

    @contextmanager
    def restarted(self) -> Iterator[Process]:
        """A recorder after a crash: it needs no help."""
        began_s = monotonic()
        with self.run() as process:
            process.wait_for(COVERED)
            self.recover_s.append(monotonic() - began_s)
            self.wait_more(process, 20)
            yield process
            self.stop(process)

    def wait_more(self, process: Process, frames: int = 50) -> None:
        """Wait until so many more frames are durable, and the exchange has traded: some are snapshots and answers."""
        before = len(self.exchange.history)
        self.folder.wait_acknowledged(self.folder.acknowledged()["frames"] + frames, process)
        wait_until(lambda: any(sent.kind == "push" for sent in self.exchange.history[before:]))

    def goes_on(self, process: Process, frames: int = 50) -> None:
        """The fault has ended: measure until more is durable."""
        began_s = monotonic()
        self.wait_more(process, frames)
        self.recover_s.append(monotonic() - began_s)

    def wait_batches(self, process: Process, batches: int) -> None:
        """Wait until so many batches of this run are durable, or it has ended."""
        told = self.folder.ack_file
        wait_until(
            lambda: not process.running or (told.exists() and self.folder.acknowledged()["batch"] >= batches),
            patience_s=math.inf,
        )

    def note_acknowledged(self) -> None:
        """Take down what the recorder has told to be durable."""
        if self.folder.ack_file.exists():
            for mark in self.folder.acknowledged()["accounts"].values():
                self.acked.append(Mark(mark["session_id"], mark["seq"], mark["received_ns"]))

    def verdict(self, *, running: bool = False) -> Verdict:
        """What the oracle says just now."""
        self.note_acknowledged()
        table = read_table(f"sqlite:///{self.folder.database}")
        # Frames are noted before they are sent: what was sent is looked at last.
        verdict = judge(self.exchange.history, table, self.acked, running=running, venue=self.exchange.options.venue)
        verdict.findings += unproved(f"sqlite:///{self.folder.database}")
        return verdict

    def reconcile(self, process: Process) -> None:
        """Trading ends; wait until the exchange has been asked about every gap. `finish` then judges the fills, too."""
        self.exchange.change(silent=True)
        process.wait_for(COVERED)
        wait_reconciled(self.folder.database)
        self._is_reconciled = True

    def finish(self, fault: str) -> Verdict:
        """Report to the matrix, and insist on a clean verdict."""
        verdict = self.verdict()
        if self._is_reconciled:
            judge_fills(verdict, self.exchange, f"sqlite:///{self.folder.database}")
        self._report(fault, verdict, self.recover_s)
        assert verdict.sent, "nothing was pushed: this scenario tests nothing"
        verdict.require_clean()
        return verdict
