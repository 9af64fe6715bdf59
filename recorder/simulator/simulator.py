"""A simulated exchange in a thread of its own: what tests, the demo and `recorder simulate` hold in their hands."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from recorder.model import host_port
from recorder.simulator.account import SimulatedTransfer
from recorder.simulator.options import ActiveFaults, SimulatorOptions
from recorder.simulator.portal import SimulatedPortal
from recorder.simulator.sent import NOBODY, Sent, SentLog
from recorder.wire.thread import ServerThread, Startable


class Simulator(Startable):
    """A simulated FMex, as a context manager. Safe to use from any thread.

    An error of its own, such as books that do not balance, ends it, and is raised by whatever is called next: a wait, a
    change, `close` or the end of the ``with``.

    Args:
        options: what to be.
    """

    def __init__(self, options: SimulatorOptions) -> None:
        self.options = options
        #: Of the first account.
        self.key, self.secret = next(iter(options.accounts.items()))
        self._running = ServerThread("simulator", self._make)
        self._log: SentLog

    def start(self) -> None:
        """Begin to listen; clients can connect when this returns. Once only.

        Raises:
            OSError: the address cannot be listened on, or the log not be written.
        """
        self._running.require_new()
        self._log = SentLog(self.options.sent_log, keep=self.options.keep_sent)
        self._running.start()

    def close(self) -> None:
        """Say goodbye to all clients and stop; nothing where it is stopped already.

        Raises:
            BooksError, or whatever else went wrong in the simulator and was not raised by another call.
        """
        self._running.close()

    # What there is to know.

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._portal.port

    @property
    def url(self) -> str:
        """The http address; the push portal's follows from it."""
        return f"http://{host_port(self.options.host, self.port)}"

    @property
    def conditions(self) -> ActiveFaults:
        """What is wrong just now; see `change` and `faults`."""
        return self._portal.conditions

    @property
    def sent(self) -> list[Sent]:
        """All frames sent so far, in their order; none where `keep_sent` is off."""
        return [one for one in self._log.frames if one.connection != NOBODY]

    @property
    def history(self) -> list[Sent]:
        """All frames sent so far, and among them the pushes that were made and went to `NOBODY`, in their order."""
        return list(self._log.frames)

    @property
    def connections(self) -> int:
        """Clients of the push portal connected now."""
        return len(self._portal.lines)

    @property
    def clients(self) -> int:
        """Connections to the push portal there have been."""
        return self._portal.clients

    # What to wait for.

    def wait_subscribed(self, timeout_s: float | None = None) -> None:
        """Wait until a client is connected that has subscribed and sent no further command for a tenth of a second.

        Raises:
            TimeoutError: nobody did in that time.
        """
        self._running.wait(lambda: self._portal.is_subscribed, timeout_s, "somebody to subscribe")

    def wait_alone(self, timeout_s: float | None = None) -> None:
        """Wait until no client is connected.

        Raises:
            TimeoutError: somebody still was after that time.
        """
        self._running.wait(lambda: not self._portal.lines, timeout_s, "everybody to go")

    def wait_finished(self, timeout_s: float | None = None) -> None:
        """Wait until each account's `pushes` are made, and the kernel has taken those that somebody subscribed to.

        Where `pushes` has no end, only the simulator's own failure or a signal handler that raises ends this.

        Raises:
            TimeoutError: they were not in that time.
        """
        self._running.wait(lambda: self._portal.is_finished, timeout_s, "all pushes to be made")

    # What to do to it.

    def push(self, payload: bytes) -> int:
        """Send a text frame of any bytes to every client that has topics; returns how many that were."""
        return self._running.call(lambda: self._portal.send_raw(payload))

    def drop_connections(self) -> int:
        """End all connections with a TCP reset; returns how many that were."""
        return self._running.call(lambda: self._portal.drop(self._portal.lines))

    def change(self, **conditions: Any) -> None:
        """Change `conditions` by name; `faults` does so and undoes it."""
        self._running.call(lambda: self._portal.change(conditions))

    def deposit(self, amount: Decimal, *, key: str | None = None) -> None:
        """Pay money into an account: who listens is told the new balance at once, and nothing else.

        Args:
            amount: BTC.
            key: the account's; the first one's unless given.
        """
        if not amount.is_finite() or amount <= 0:
            raise ValueError(f"{amount} is not an amount above 0")
        self._transfer(amount, key)

    def withdraw(self, amount: Decimal, *, key: str | None = None) -> None:
        """Take money out of an account; as `deposit`.

        Raises:
            ValueError: there is not so much that is free.
        """
        if not amount.is_finite() or amount <= 0:
            raise ValueError(f"{amount} is not an amount above 0")
        self._transfer(-amount, key)

    def transfers(self, *, key: str | None = None) -> list[SimulatedTransfer]:
        """All that came to an account and left it, the trader's own first deposit included."""
        return self._running.call(lambda: self._portal.transfers(key or self.key))

    def stall(self, payload: bytes | None = None) -> None:
        """Let all connections go dead without closing them, after half a frame if one is given."""
        self._running.call(lambda: self._portal.stall(payload))

    def drop_stalled(self) -> int:
        """End the dead ones with a TCP reset; returns how many that were."""
        return self._running.call(lambda: self._portal.drop([line for line in self._portal.lines if line.stalled]))

    # Between the threads.

    @property
    def _portal(self) -> SimulatedPortal:
        return self._running.server

    def _make(self, on_change: Callable[[], None]) -> SimulatedPortal:
        return SimulatedPortal(self.options, self._log, on_change)

    def _transfer(self, amount: Decimal, key: str | None) -> None:
        self._running.call(lambda: self._portal.transfer(key or self.key, amount))
