"""A recorder within the test's own process, for what cannot be done to another: its clock, its code, its heartbeat."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Condition
from time import monotonic
from typing import Any

from recorder.clock import Clock
from recorder.live.recording import Recording
from recorder.live.settings import Account, Limits
from recorder.live.watermark import Mark, Watermark
from recorder.simulator import Simulator
from recorder.venues import venue_named
from recorder.venues.rest import Credentials
from tests.faults.complete import judge_fills, rows_of, wait_reconciled
from tests.faults.oracle import Verdict, judge
from tests.faults.table import read_table, unproved
from tests.integration.process import environment_of

PATIENCE_S = 20.0

#: For an exchange whose REST is never behind its pushes.
AT_ONCE = Limits(reconcile_settle_s=0.01)


def account_at(exchange: Simulator) -> Account:
    """The first account of an exchange, as a recorder knows it."""
    venue, stand_in = venue_named(exchange.options.venue), venue_named(exchange.options.venue).stand_in
    given = stand_in.credentials(exchange.key, exchange.secret)
    public = {field.name: given[field.name] for field in venue.credential_fields if not field.is_secret}
    secret = {field.name: given[field.name] for field in venue.credential_fields if field.is_secret}
    symbols = stand_in.default_symbols if venue.needs_symbols else ()
    return Account(
        name="main",
        venue=venue,
        url=exchange.url,
        credentials=Credentials(public, **secret),
        symbols=symbols,
        environment=environment_of(exchange),
    )


class Live:
    """One scenario with real sockets and a real database.

    Args:
        folder: of the database.
        exchange: what is recorded.
        clock: of the recorder.
        heartbeat_s: between two pings.
        silent_s: the watchdog's bound.
        connection_max_s: age at which a connection is replaced; None: as the venue does.
        ask_every_s: how often REST is asked, in each way; None: as by default.
    """

    def __init__(
        self,
        folder: Path,
        exchange: Simulator,
        *,
        clock: Clock | None = None,
        heartbeat_s: float = 15.0,
        silent_s: float = 40.0,
        connection_max_s: float | None = None,
        ask_every_s: float | None = None,
    ) -> None:
        self.database = folder / "recorder.db"
        self.url = f"sqlite:///{self.database}"
        self.exchange = exchange
        self.clock = clock or Clock()
        self.acked: list[Mark] = []
        self.recover_s: list[float] = []
        #: Frames durable in this run.
        self.durable = 0
        #: Called after each commit too, and may raise.
        self.callback: Callable[[Watermark], None] = lambda watermark: None
        self._changed = Condition()
        self._limits = Limits(
            reconnect_first_s=0.05,
            reconnect_last_s=0.2,
            batch_frames_max=200,
            silent_s=silent_s,
            stop_s=10.0,
            reconcile_settle_s=0.01,
        )
        if ask_every_s is not None:
            self._limits = replace(self._limits, reconcile_every_s=ask_every_s, transactions_every_s=ask_every_s)
        account = account_at(exchange)
        venue = copy.copy(account.venue)
        venue.connection_max_s = connection_max_s or venue.connection_max_s
        self.account = replace(account, venue=venue, heartbeat_s=min(heartbeat_s, venue.heartbeat_s))
        self._is_reconciled = False

    @contextmanager
    def recording(self) -> Iterator[Recording]:
        """A run."""
        self.durable = 0
        with Recording(self.url, [self.account], self._limits, self.clock, self._note) as recording:
            yield recording

    def wait_more(self, frames: int) -> None:
        """Wait until so many more frames are durable."""
        with self._changed:
            enough = self.durable + frames
            assert self._changed.wait_for(lambda: self.durable >= enough, PATIENCE_S)

    def wait_new_session(self, before: int) -> None:
        """Wait until frames of more sessions than so many are durable."""
        began_s = monotonic()
        with self._changed:
            assert self._changed.wait_for(lambda: self.sessions() > before, PATIENCE_S)
        self.recover_s.append(monotonic() - began_s)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a fresh reader finds."""
        return rows_of(self.database, sql)

    def reconcile(self) -> None:
        """Trading ends; wait until the exchange has been asked about every gap. `finish` then judges the fills, too."""
        self.exchange.change(silent=True)
        wait_reconciled(self.database)
        self._is_reconciled = True

    def sessions(self) -> int:
        """How many sessions have durable frames."""
        return len({mark.session_id for mark in self.acked})

    def finish(
        self, fault: str, report: Callable[[str, Verdict, list[float]], None], *, one_clock: bool = True
    ) -> Verdict:
        """Report to the matrix, and insist on a clean verdict."""
        table = read_table(self.url)
        verdict = judge(
            self.exchange.history, table, self.acked, one_clock=one_clock, venue=self.exchange.options.venue
        )
        verdict.findings += unproved(self.url)
        if self._is_reconciled:
            judge_fills(verdict, self.exchange, self.url)
        report(fault, verdict, self.recover_s)
        verdict.require_clean()
        return verdict

    def _note(self, watermark: Watermark) -> None:
        with self._changed:
            self.acked += watermark.marks.values()
            self.durable = watermark.frames
            self._changed.notify_all()
        self.callback(watermark)
