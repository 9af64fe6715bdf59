"""Faults in any order and on top of each other: a state machine that hypothesis drives.

A real process, real sockets, a real file. After every rule the oracle looks at what is durable while the recorder is at
work. At the end the line is made well, a plain recorder takes over and asks the exchange about every gap, and the
oracle judges all of it, the fills included.
"""

import shutil
import signal
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.faults import deaf, expired, invalid_topics, lagging, refusing, stalled_mid_frame
from recorder.venues import DEFAULT_VENUE, venue_named
from tests.faults.oracle import Verdict
from tests.faults.proxy import BOTH, Proxy
from tests.faults.scene import COVERED, Scene
from tests.faults.served import AWAY, BACK, finish, serve
from tests.faults.strace import injecting
from tests.integration.process import Folder
from tests.integration.test_hostile_frames import HOSTILE
from tests.server import PostgresServer
from tests.waiting import wait_until

#: The name of the row in the matrix.
MIXED = "all of it, mixed"
MIXED_SERVED = "all of it, mixed, with a server"

SILENT = "nothing came for 1 s"
#: How long REST is behind the pushes where it is late.
LATE_S = 0.5
LIMITS = {"silent_s": 1.0, "batch_frames_max": 40, "batch_ms": 5}
#: Of the simulated exchange; of one that lists few trades a minute (Kraken: a page of 50 in 8 s), fewer.
PUSHES_PER_S, PUSHES_PER_S_OF = 100, {"kraken": 20}
REFUSED = "refused the "
HAS_STRACE = shutil.which("strace") is not None

#: What may be wrong with the line for longer than one rule.
LINES: dict[str, Callable[[Proxy], AbstractContextManager[None]]] = {
    "sliced": lambda proxy: proxy.slicer(200),
    "slow": lambda proxy: proxy.latency(0.03),
    "narrow": lambda proxy: proxy.bandwidth(150_000),
}


class Mixed(RuleBasedStateMachine):
    """The whole matrix. A subclass says which venue, where the verdict goes, and whether there is a server."""

    venue: ClassVar[str] = DEFAULT_VENUE
    report: ClassVar[Callable[[str, Verdict, list[float]], None]]
    server: ClassVar[PostgresServer | None] = None
    #: What went wrong at the end of a scenario. Hypothesis does not report it if it had ended the scenario itself.
    failures: ClassVar[list[BaseException]]

    def __init__(self) -> None:
        super().__init__()
        self._resources = ExitStack()
        self._line = ExitStack()

    @initialize(late=st.booleans(), ages=st.booleans(), clock_offset_ms=st.sampled_from([0, -800, 800]))
    def begin(self, late: bool, ages: bool, clock_offset_ms: int) -> None:
        """An exchange that trades, a proxy, and a recorder that is well.

        Args:
            late: REST is behind the pushes.
            ages: the exchange ends connections at an age of 15 s, which is longer than any exchange takes to be asked.
            clock_offset_ms: of the exchange's clock.
        """
        folder = self._resources.enter_context(tempfile.TemporaryDirectory(prefix="mixed-"))
        self._path = Path(folder)
        options = SimulatorOptions(
            venue=self.venue,
            rate_per_s=PUSHES_PER_S_OF.get(self.venue, PUSHES_PER_S),
            live_clock=True,
            funding_interval_s=1,
            clock_offset_ms=clock_offset_ms,
            connection_max_s=15.0 if ages else None,
        )
        self._exchange = self._resources.enter_context(Simulator(options))
        if late:
            self._resources.enter_context(lagging(self._exchange, LATE_S))
        self._proxy = self._resources.enter_context(Proxy(self._exchange.port))
        self._scene = Scene(Folder(self._path), self._exchange, type(self).report)
        if self.server is not None:
            self._way = self._resources.enter_context(Proxy(self.server.port))
            serve(self._scene, self.server, self._way)
        self._scene.configure(self._proxy, LIMITS | {"reconcile_settle_s": 2 * LATE_S} if late else LIMITS)
        self._start()

    def _start(self, under: tuple[str, ...] = ()) -> None:
        self._process = self._scene.run(under=under)
        self._process.wait_for(COVERED)

    def _end(self, number: signal.Signals, code: int) -> None:
        self._process.send(number)
        assert self._process.wait() == code, self._process.errors

    def _covered_again(self, fault: AbstractContextManager[Any], seen: str = "", times: int = 1) -> None:
        """A fault that ends the session: recorded again once it is over."""
        already = self._process.errors.count(seen) if seen else 0
        with self._scene.recovery(self._process), fault:
            self._proxy.reset()
            if seen:
                self._process.wait_for(seen, already + times)

    @rule(frames=st.integers(1, 100))
    def trade(self, frames: int) -> None:
        self._scene.wait_more(self._process, frames)

    @rule(name=st.sampled_from(sorted(LINES)))
    def spoil_the_line(self, name: str) -> None:
        self._line.close()
        self._line.enter_context(LINES[name](self._proxy))

    @rule()
    def mend_the_line(self) -> None:
        self._line.close()

    @rule(end=st.sampled_from([Proxy.reset, Proxy.cut]), times=st.integers(1, 3))
    def end_connections(self, end: Callable[[Proxy], int], times: int) -> None:
        for _ in range(times):
            with self._scene.recovery(self._process):
                end(self._proxy)

    @rule(directions=st.sampled_from([BOTH, frozenset({"down"})]))
    def half_open(self, directions: Any) -> None:
        seen = self._process.errors.count(SILENT)
        with self._scene.outage(self._process), self._proxy.blackhole(directions):
            self._process.wait_for(SILENT, seen + 1)

    @rule(fault=st.sampled_from([deaf, stalled_mid_frame]))
    def hang(self, fault: Callable[[Simulator], AbstractContextManager[None]]) -> None:
        seen = self._process.errors.count(SILENT)
        with self._scene.outage(self._process), fault(self._exchange):
            self._process.wait_for(SILENT, seen + 1)

    @rule(status=st.sampled_from([429, 503, 500]))
    def refuse(self, status: int) -> None:
        self._covered_again(refusing(self._exchange, status), "Trying again in", 2)

    @precondition(lambda self: any(field.is_secret for field in venue_named(self.venue).credential_fields))
    @rule(number=st.sampled_from([signal.SIGTERM, signal.SIGKILL]))
    def revoke_the_key(self, number: signal.Signals) -> None:
        """A refused key is tried again only after half a minute: a restart finds that it has been restored."""
        seen = self._process.errors.count(REFUSED)
        with expired(self._exchange):
            self._proxy.reset()
            self._process.wait_for(REFUSED, seen + 1)
        self._end(number, 0 if number == signal.SIGTERM else -9)
        self._restart()

    @precondition(lambda self: venue_named(self.venue).stand_in.refuses_topics)
    @rule(index=st.integers(0, 7))
    def refuse_a_topic(self, index: int) -> None:
        topics = sorted(self._exchange.topics())
        topic = topics[index % len(topics)]
        with self._scene.recovery(self._process), invalid_topics(self._exchange, [topic]):
            seen = self._process.errors.count("the exchange refused topic")
            self._proxy.reset()
            self._process.wait_for("the exchange refused topic", seen + 1)

    @rule(name=st.sampled_from(sorted(HOSTILE)))
    def hostile_frame(self, name: str) -> None:
        self._exchange.push(HOSTILE[name])

    @rule(reset=st.booleans())
    def lock_the_database(self, reset: bool) -> None:
        seen = self._process.errors.count("is locked by another program")
        with self._scene.folder.locked():
            if reset:
                self._proxy.reset()
            self._process.wait_for("is locked by another program", seen + 1)
        self._scene.goes_on(self._process)

    @rule(pushes=st.sampled_from([0, 300]))
    def freeze(self, pushes: int) -> None:
        """For a moment, or for longer than the watchdog allows."""
        self._process.send(signal.SIGSTOP)
        self._exchange.push(HOSTILE["null"])
        before = len(self._exchange.history)
        wait_until(lambda: len(self._exchange.history) >= before + pushes)
        self._process.send(signal.SIGCONT)

    @rule(locked=st.booleans(), frames=st.integers(0, 40))
    def kill(self, locked: bool, frames: int) -> None:
        if frames:
            self._scene.wait_more(self._process, frames)
        if locked:
            seen = self._process.errors.count("is locked by another program")
            with self._scene.folder.locked():
                self._process.wait_for("is locked by another program", seen + 1)
                self._end(signal.SIGKILL, -9)
        else:
            self._end(signal.SIGKILL, -9)
        self._restart()

    @rule(number=st.sampled_from([signal.SIGTERM, signal.SIGINT]))
    def stop(self, number: signal.Signals) -> None:
        self._end(number, 0)
        self._scene.verdict().require_clean()
        self._restart()

    @precondition(lambda self: HAS_STRACE)
    @rule(
        call=st.sampled_from(["pwrite64", "fdatasync"]),
        what=st.sampled_from(["signal=SIGKILL", "error=EIO", "error=ENOSPC"]),
        number=st.integers(1, 60),
    )
    def fail_at_a_call(self, call: str, what: str, number: int) -> None:
        self._end(signal.SIGTERM, 0)
        under = injecting(self._path / "strace.log", call, what, str(number))
        with self._scene.run("--for", "1.5s", under=under) as process:
            assert process.wait() in {0, 2, -9}, process.errors
            assert "Traceback" not in process.errors, process.errors
        self._restart()

    @precondition(lambda self: self.server is not None)
    @rule(how=st.sampled_from(["crash", "terminate", "reset", "lose a reply", "hang"]))
    def harm_the_server(self, how: str) -> None:
        """And wait until it is sent to again."""
        assert self.server is not None
        away = self._process.errors.count(AWAY)
        match how:
            case "crash":
                self.server.stop("immediate")
                self._process.wait_for(AWAY, away + 1)
                self.server.start()
            case "terminate":
                self.server.terminate_connections()
            case "reset":
                self._way.reset()
            case "lose a reply":
                with self._way.dropping_reply(b"COMMIT"):
                    self._process.wait_for(AWAY, away + 1)
            case "hang":
                with self.server.hanging():
                    self._scene.wait_more(self._process, 50)
                return
        self._process.wait_for(BACK, away + 1)

    def _restart(self) -> None:
        with self._scene.recovered():
            self._start()

    @invariant()
    def clean(self) -> None:
        """The oracle, on what is durable just now."""
        if hasattr(self, "_scene"):
            self._scene.verdict(running=True).require_clean()

    def teardown(self) -> None:
        """All is well again, a plain recorder takes over, and the oracle judges the whole."""
        try:
            self._judge()
        except BaseException as error:
            self.failures.append(error)
            raise

    def _judge(self) -> None:
        with self._resources:
            if not hasattr(self, "_process"):
                return
            self._line.close()
            with self._process:  # killed, whatever it is doing
                pass
            with self._scene.restarted() as process:
                self._scene.reconcile(process)
            if self.server is None:
                self._scene.finish(MIXED)
            else:
                finish(self._scene, MIXED_SERVED)
