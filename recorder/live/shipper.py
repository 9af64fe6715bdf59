"""The shipper: sends the local journal's batches to the server's database, without slowing down the writer.

The journal is written first, so a server that is unreachable, slow or full delays only itself: batches wait in the
journal, not in memory, and are sent in order once the server accepts them. Each recorder has its own shipper, so a
refused one delays no other. Its own later batches wait, because they are chained to the refused one.
"""

import logging
from collections.abc import Callable, Sequence
from threading import Event, Thread
from time import monotonic

from sqlalchemy.exc import DBAPIError as DriverError

from recorder.errors import AnotherAccount, DatabaseError
from recorder.live.backoff import Backoff
from recorder.read.projector import Projector
from recorder.store import migrate
from recorder.store.credentials import KnownCredential, conflict, known_credentials
from recorder.store.crosscheck import compare_sessions
from recorder.store.engine import blaming, database_path, explain, may_pass, open_engine, place
from recorder.store.entries import AccountAdded
from recorder.store.mover import Mover, require_rights, update_statistics

log = logging.getLogger(__name__)

#: Waits between attempts grow from the first to the last, seconds.
RETRY_FIRST_S = 0.5
RETRY_LAST_S = 30.0
#: The shortest wait after an error that needs a person, who may solve it during the run, seconds.
LASTING_S = 60.0
#: How often such an error is logged again, seconds.
REMIND_S = 3_600.0
#: Batches are collected for this long, because each transaction on the server costs some 15 ms, seconds.
COLLECT_S = 0.15
#: This many frames are sent without collecting more.
COLLECT_FRAMES = 2_000
#: Frames projected in one transaction, which other recorders of the account wait for.
FRAMES_PER_STEP = 2_000
#: How often the server's projections are brought up to date, and for how long at the end of a run, seconds.
PROJECT_S = 1.0
#: How often to check whether the planner's statistics are due, seconds.
ANALYZE_S = 60.0


class Shipper(Thread):
    """Sends batches to a server.

    Args:
        journal: the address of the local file.
        server: the address of the server's database.
        on_end: called when the thread ends, in this thread.

    Attributes:
        failure: what ended the thread, other than a stop.
        frames: the number of this run's frames that the server had when it last was up to date.
        state: for people: `connecting`, `up to date`, `sending`, `away`, or `refusing` if a person must act.
    """

    def __init__(self, journal: str, server: str, on_end: Callable[[], None]) -> None:
        super().__init__(name="shipper", daemon=True)
        self.failure: BaseException | None = None
        self.frames = 0
        self.state = "connecting"
        self._journal = database_path(journal)
        self._server = server
        self._on_end = on_end
        self._target = open_engine(server)
        self._source = blaming(open_engine(journal, read_only=True), journal)
        self._mover = Mover(self._source, self._target)
        self._backoff = Backoff(RETRY_FIRST_S, RETRY_LAST_S)
        self._prepared = False
        self._compare = True
        self._analyze_s = 0.0
        self._may_analyze = True
        self._remind_s = 0.0
        self._projector = Projector(FRAMES_PER_STEP)
        self._project_s = 0.0
        self._more = Event()
        self._hurry = Event()
        self._committed = 0
        self._finishing = False
        self._give_up = Event()

    def check(self, accounts: Sequence[tuple[AccountAdded, str]] = ()) -> None:
        """Check, before the run begins, that the server's database can be written to.

        A server that is unreachable does not matter, because the run records into its journal.

        Args:
            accounts: the run's accounts, each with the fingerprint of its credential. Only accounts new to this
                journal are refused here; for the others the run must go on, and only the sending waits.

        Raises:
            DatabaseError: with one sentence that says what to do.
        """
        try:
            self._prepare()
            with self._source.connect() as source, self._target.connect() as target:
                for account, key in accounts:
                    if not known_credentials(source, account.account_id):
                        mine = {key: KnownCredential(account.created_ns, accepted=False)}
                        theirs = known_credentials(target, account.account_id)
                        refusal = conflict(f"{account.venue}/{account.name}", theirs, mine)
                        if refusal is not None:
                            raise AnotherAccount(refusal)
        except DriverError as error:
            explained = explain(self._server, error)
            if not may_pass(self._server, error):
                raise explained from error
            log.warning("%s Recording continues in the journal.", explained)
            self.state = "away"

    def more(self, frames: int) -> None:
        """Note a commit to the journal, which now has this many frames of this run."""
        self._committed = frames
        if frames - self.frames >= COLLECT_FRAMES:
            self._hurry.set()
        self._more.set()

    def finish(self) -> None:
        """Send the rest, and end: the journal is complete. Then `join`."""
        self._finishing = True
        self._hurry.set()
        self._more.set()

    def give_up(self) -> None:
        """End after the current transaction: time is up. The next run sends the rest."""
        self._give_up.set()
        self.finish()

    def run(self) -> None:
        """The thread."""
        try:
            while not self._give_up.is_set():
                self._more.clear()
                self._hurry.clear()
                # Read before sending: then everything committed before `finish` is sent.
                finishing = self._finishing
                wait_s = self._try_to_catch_up()
                if wait_s is not None:
                    self._give_up.wait(wait_s)
                elif finishing:
                    break
                else:
                    self._more.wait(PROJECT_S if self._projector.due else None)
                    if not self._finishing:
                        self._hurry.wait(COLLECT_S)
        except BaseException as error:  # noqa: BLE001  main shows it and ends the run
            self.failure = error
        finally:
            self._mover.close()
            self._on_end()

    def _try_to_catch_up(self) -> float | None:
        """Send everything. Returns the seconds until the next attempt; None if the server has everything."""
        try:
            self._prepare()
            self._catch_up()
        except DriverError as error:
            return self._try_again(explain(self._server, error), lasting=not may_pass(self._server, error))
        except DatabaseError as error:
            return self._try_again(error, lasting=True)
        return None

    def _prepare(self) -> None:
        if not self._prepared:
            migrate.require_usable(self._target)
            with self._target.connect() as connection:
                require_rights(connection, place(self._server))
            self._prepared = True

    def _catch_up(self) -> None:
        while not self._give_up.is_set():
            committed = self._committed
            moved = self._mover.step()
            if moved is not None:
                self._projector.add(moved.run_id, moved.frames)
            if self.state in {"away", "refusing"}:
                log.info("%s answers again: sending what waits in the journal", place(self._server))
            self._backoff.reset()
            self._compare |= moved is not None and moved.sessions_ended > 0
            if moved is None or not moved.more:
                # The server has everything committed before this step. There may be news, which is collected first.
                self.state = "up to date"
                self.frames = committed
                break
            self.state = "sending"
        self._project()
        if self._compare:
            for compared in compare_sessions(self._target):
                log.log(logging.ERROR if compared.unseen else logging.INFO, "%s", compared.sentence())
            self._compare = False
        if monotonic() >= self._analyze_s:
            self._analyze_s = monotonic() + ANALYZE_S
            self._analyze()

    def _project(self) -> None:
        """Let the server's projections follow what was sent, until there is more to send."""
        if monotonic() < self._project_s and not self._finishing:
            return
        until_s = monotonic() + PROJECT_S
        with self._target.connect() as connection:
            while self._projector.due and not self._give_up.is_set():
                if self._hurry.is_set() and not self._finishing:
                    return
                done = self._projector.advance(connection)
                if not done or (self._finishing and monotonic() >= until_s):
                    break
        self._project_s = monotonic() + PROJECT_S

    def _analyze(self) -> None:
        with self._target.connect() as connection:
            refused = update_statistics(connection)
        if refused and self._may_analyze:
            self._may_analyze = False
            log.warning(
                "Queries on %s may be slow: this user may not ANALYZE %s; run it from time to time, or grant MAINTAIN.",
                place(self._server),
                ", ".join(refused),
            )

    def _try_again(self, error: DatabaseError, *, lasting: bool) -> float:
        wait_s = self._backoff.next_s(LASTING_S if lasting else 0.0)
        state = "refusing" if lasting else "away"
        # Logged once for each outage, which may last for days; repeatedly if a person must act.
        if state != self.state or (lasting and monotonic() >= self._remind_s):
            self._remind_s = monotonic() + REMIND_S
            # If the journal was moved, the writer reports that.
            holds = "The journal has everything; sending it" if self._journal.exists() else "Sending the journal"
            log.log(logging.ERROR if lasting else logging.WARNING, "%s %s is tried again until it works.", error, holds)
            self.state = state
        return wait_s
