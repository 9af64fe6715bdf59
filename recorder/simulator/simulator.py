"""The simulated exchange in a thread of its own, for tests, the demo and `recorder simulate`."""

from collections.abc import Callable, Collection, Iterable
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Any

from recorder.model import host_port
from recorder.simulator.options import ActiveFaults, SimulatorOptions
from recorder.simulator.portal import SimulatedPortal
from recorder.simulator.sent import NOBODY, Sent, SentLog
from recorder.venues import venue_named
from recorder.venues.rest import Credentials
from recorder.venues.simulated import NONE, FillKind, Moment, SimulatedOrder, SimulatedTransaction
from recorder.venues.view import Execution
from recorder.wire.thread import ServerThread, Startable

#: Moments of a past that are noted at a time: a call into the simulator's thread may not take long.
MOMENTS_A_CALL = 10_000


class Simulator(Startable):
    """A simulated exchange, as a context manager. Safe to use from any thread.

    An exception in the simulator, such as `BooksError`, stops it, and is raised by the next call: a wait, a change,
    `close` or the end of the ``with``.

    Args:
        options: of the simulator.
    """

    def __init__(self, options: SimulatorOptions) -> None:
        self.options = options
        #: Credentials of the first account.
        self.key, self.secret = next(iter(options.accounts.items()))
        self.credentials = credentials_of(options.venue, self.key, self.secret)
        self._running = ServerThread("simulator", self._make)
        self._log: SentLog

    def start(self) -> None:
        """Start listening; clients can connect when this returns. Can be called once only.

        Raises:
            OSError: it cannot listen on this address, or cannot write the log.
        """
        self._running.require_new()
        self._log = SentLog(self.options.sent_log, keep=self.options.keep_sent)
        self._running.start()

    def close(self) -> None:
        """Close all connections and stop; does nothing if already stopped.

        Raises:
            BooksError: the simulator has a bug, and no other call has raised this.
        """
        self._running.close()

    # Its state.

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._portal.port

    @property
    def url(self) -> str:
        """The HTTP address; the push portal's follows from it."""
        return f"http://{host_port(self.options.host, self.port)}"

    @property
    def active_faults(self) -> ActiveFaults:
        """The current faults; see `change` and `faults`."""
        return self._portal.active_faults

    @property
    def sent(self) -> list[Sent]:
        """All frames sent so far, in order; none if `keep_sent` is off."""
        return [one for one in self._log.frames if one.connection != NOBODY]

    @property
    def history(self) -> list[Sent]:
        """All frames sent so far and, among them, the pushes that went to `NOBODY`, in order."""
        return list(self._log.frames)

    @property
    def connections(self) -> int:
        """Number of clients connected to the push portal."""
        return len(self._portal.clients)

    @property
    def clients(self) -> int:
        """Number of connections to the push portal so far."""
        return self._portal.accepted

    @property
    def refused(self) -> int:
        """Number of connections to the push portal so far that were one too many (`Venue.connections`)."""
        return self._portal.refused

    # Waiting.

    def wait_subscribed(self, timeout_s: float | None = None) -> None:
        """Wait until a client is connected whose subscriptions are complete.

        Raises:
            TimeoutError: there is none after `timeout_s` seconds.
        """
        self._running.wait(lambda: self._portal.is_subscribed, timeout_s, "somebody to subscribe")

    def wait_alone(self, timeout_s: float | None = None) -> None:
        """Wait until no client is connected.

        Raises:
            TimeoutError: one still is after `timeout_s` seconds.
        """
        self._running.wait(lambda: not self._portal.clients, timeout_s, "everybody to go")

    def wait_finished(self, timeout_s: float | None = None) -> None:
        """Wait until all `SimulatorOptions.pushes` have been made, and the kernel has taken the subscribed ones.

        If `pushes` is None, only a failure of the simulator or a signal handler that raises ends this.

        Raises:
            TimeoutError: they have not after `timeout_s` seconds.
        """
        self._running.wait(lambda: self._portal.is_finished, timeout_s, "all pushes to be made")

    # Actions.

    def push(self, payload: bytes) -> int:
        """Send a text frame of any bytes to every client that has topics; returns their number."""
        return self._running.call(lambda: self._portal.send_raw(payload))

    def drop_connections(self) -> int:
        """End all connections with a TCP reset; returns their number."""
        return self._running.call(lambda: self._portal.drop(self._portal.clients))

    def change(self, **active_faults: Any) -> None:
        """Set attributes of `active_faults`; the context managers in `faults` also restore them."""
        self._running.call(lambda: self._portal.change(active_faults))

    def deposit(
        self, amount: Decimal, *, key: str | None = None, currency: str | None = None, wallet: str | None = None
    ) -> None:
        """Deposit to an account. Subscribed clients are sent the new balance at once.

        Args:
            amount: of the currency.
            key: API key of the account; by default the first one's.
            currency: by default the account's first one.
            wallet: by default the first one that has the currency.
        """
        _require_positive(amount)
        self._running.call(lambda: self._portal.transfer(key or self.key, amount, currency, wallet))

    def withdraw(
        self,
        amount: Decimal,
        *,
        fee: Decimal = NONE,
        key: str | None = None,
        currency: str | None = None,
        wallet: str | None = None,
    ) -> None:
        """Withdraw from an account; otherwise as `deposit`.

        Args:
            amount: of the currency, the fee included.
            fee: what the exchange keeps of it.
            key: as above.
            currency: as above.
            wallet: as above.

        Raises:
            ValueError: the available balance is too small.
        """
        _require_positive(amount)
        self._running.call(lambda: self._portal.transfer(key or self.key, -amount, currency, wallet, fee))

    def move(self, amount: Decimal, currency: str, source: str, target: str, *, key: str | None = None) -> None:
        """Transfer from one wallet of an account to another; otherwise as `deposit`.

        Raises:
            ValueError: the available balance is too small.
        """
        _require_positive(amount)
        self._running.call(lambda: self._portal.move(key or self.key, amount, currency, source, target))

    def end_position(self, kind: FillKind, *, key: str | None = None) -> None:
        """Let the exchange end the first open position of an account; subscribed clients are told at once.

        Args:
            kind: `liquidation`, `adl` (auto-deleveraging) or `settlement`.
            key: API key of the account; by default the first one's.

        Raises:
            ValueError: no position is open.
        """
        self._running.call(lambda: self._portal.end_position(key or self.key, kind))

    def expire(self, *, key: str | None = None) -> None:
        """Let all futures and options expire for an account; subscribed clients are told at once.

        Args:
            key: API key of the account; by default the first one's.
        """
        self._running.call(lambda: self._portal.expire(key or self.key))

    def forget_orders(self, *, key: str | None = None) -> int:
        """Cancel an account's open orders of which nothing was filled, and forget them, as an exchange does in time.

        Subscribed clients are told at once that they were cancelled; REST does not know them any more.

        Args:
            key: API key of the account; by default the first one's.

        Returns:
            The number of orders.
        """
        return self._running.call(lambda: self._portal.forget_orders(key or self.key))

    def remember(self, moments: Iterable[Moment], *, key: str | None = None) -> None:
        """Let an account have a past: REST reports it, and nobody is pushed it.

        Args:
            moments: oldest first, none before the account's beginning (`SimulatorOptions.start_ms`); ids grow.
            key: API key of the account; by default the first one's.
        """
        waiting = iter(moments)
        while some := list(islice(waiting, MOMENTS_A_CALL)):
            self._running.call(partial(self._portal.remember, key or self.key, some))

    def forget_fills(self, *, key: str | None = None) -> None:
        """Forget an account's fills so far, as an exchange does in time: REST does not list them any more.

        Args:
            key: API key of the account; by default the first one's.
        """
        self._running.call(lambda: self._portal.forget_fills(key or self.key))

    def transfers(self, *, key: str | None = None) -> list[SimulatedTransaction]:
        """All deposits and withdrawals of an account, including the trader's own."""
        return self._running.call(lambda: self._portal.transfers(key or self.key))

    def executions(self, *, key: str | None = None) -> list[Execution]:
        """All executions of an account's orders so far, oldest first, under the ids that the venue shows."""
        return self._running.call(lambda: self._portal.executions(key or self.key))

    def open_orders(self, *, key: str | None = None) -> list[SimulatedOrder]:
        """The orders of an account that can still change."""
        return self._running.call(lambda: self._portal.open_orders(key or self.key))

    def topics(self, *, key: str | None = None) -> Collection[str]:
        """All topics of an account."""
        return self._running.call(lambda: self._portal.topics(key or self.key))

    def stall(self, payload: bytes | None = None) -> None:
        """Let all connections hang without closing them, after half of a frame if one is given."""
        self._running.call(lambda: self._portal.stall(payload))

    def drop_stalled(self) -> int:
        """End the stalled connections with a TCP reset; returns their number."""
        return self._running.call(
            lambda: self._portal.drop([client for client in self._portal.clients if client.stalled])
        )

    # Crossing threads.

    @property
    def _portal(self) -> SimulatedPortal:
        return self._running.server

    def _make(self, on_change: Callable[[], None]) -> SimulatedPortal:
        return SimulatedPortal(self.options, self._log, on_change)


def credentials_of(venue_name: str, key: str, secret: str) -> Credentials:
    """The credentials of a simulated account, as a configuration gives them."""
    venue = venue_named(venue_name)
    given = venue.stand_in.credentials(key, secret)
    public = {one.name: given[one.name] for one in venue.credential_fields if not one.is_secret}
    return Credentials(public, **{one.name: given[one.name] for one in venue.credential_fields if one.is_secret})


def _require_positive(amount: Decimal) -> None:
    if not amount.is_finite() or amount <= 0:
        raise ValueError(f"the amount must be above 0, not {amount}")
