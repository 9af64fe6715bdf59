"""The shipper: moves the local journal's batches to the server's database, behind the writer and never in its way.

The journal holds everything first, so a server that is away, slow or full costs nothing but time: what waits is in the
journal, not in memory, and is moved in order once the server accepts it. Each recorder has its own shipper, so one that
is refused holds back no other. Its own later batches do wait: they are chained to the refused one.
"""

import logging
from collections.abc import Callable, Sequence
from threading import Event, Thread
from time import monotonic

from sqlalchemy.exc import DBAPIError as DriverError

from recorder.errors import AnotherAccount, DatabaseError
from recorder.live.backoff import Backoff
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
#: An error that waiting does not solve is tried again no sooner than this: somebody may solve it while the run goes on.
LASTING_S = 60.0
#: How often such an error is logged while it lasts, seconds.
REMIND_S = 3_600.0
#: Batches are collected for this long before they are sent, seconds: a transaction on the server costs some 15 ms.
COLLECT_S = 0.15
#: Frames that are not worth collecting for any longer.
COLLECT_FRAMES = 2_000
#: How often to check whether the planner's statistics are due, seconds.
ANALYZE_S = 60.0


class Shipper(Thread):
    """Moves batches to a server.

    Args:
        journal: the local file's address.
        server: the server's.
        on_end: called when the thread ends, in this thread.

    Attributes:
        failure: what ended the thread, other than a stop.
        frames: how many frames of this run the server had when it last had all of them.
        state: for people: `connecting`, `up to date`, `sending`, `away`, or `refusing` if only a person can help.
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
        self._more = Event()
        self._hurry = Event()
        self._committed = 0
        self._finishing = False
        self._give_up = Event()

    def check(self, accounts: Sequence[tuple[AccountAdded, str]] = ()) -> None:
        """Check, before the run begins, that this program can write to the server's database.

        A server that is away does not matter: the run records into its journal. One that refuses us does.

        Args:
            accounts: what the run records, each with its credential's fingerprint. Only accounts that this journal has
                not recorded yet are refused: where it has, the run must go on, and only the sending waits.

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
                        told = conflict(f"{account.venue}/{account.name}", theirs, mine)
                        if told is not None:
                            raise AnotherAccount(told)
        except DriverError as error:
            explained = explain(self._server, error)
            if not may_pass(self._server, error):
                raise explained from error
            log.warning("%s Recording goes on into the journal.", explained)
            self.state = "away"

    def more(self, frames: int) -> None:
        """A batch has been committed to the journal, which now holds this many frames of this run."""
        self._committed = frames
        if frames - self.frames >= COLLECT_FRAMES:
            self._hurry.set()
        self._more.set()

    def finish(self) -> None:
        """The journal is complete: move the rest, and end. Then `join`."""
        self._finishing = True
        self._hurry.set()
        self._more.set()

    def give_up(self) -> None:
        """Time is up: end after the current transaction. The next run moves the rest."""
        self._give_up.set()
        self.finish()

    def run(self) -> None:
        """The thread."""
        try:
            while not self._give_up.is_set():
                self._more.clear()
                self._hurry.clear()
                # Read before moving: then everything committed before `finish` is moved for certain.
                finishing = self._finishing
                wait_s = self._try_to_catch_up()
                if wait_s is not None:
                    self._give_up.wait(wait_s)
                elif finishing:
                    break
                else:
                    self._more.wait()
                    if not self._finishing:
                        self._hurry.wait(COLLECT_S)
        except BaseException as error:  # noqa: BLE001  main shows it and ends the run
            self.failure = error
        finally:
            self._mover.close()
            self._on_end()

    def _try_to_catch_up(self) -> float | None:
        """Move everything. Returns the seconds to wait before another attempt; None if everything is there."""
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
            if self.state in {"away", "refusing"}:
                log.info("%s answers again: sending what waits in the journal", place(self._server))
            self._backoff.reset()
            if moved is None:
                self.state = "up to date"
                # Everything committed before this look is there, whoever moved it.
                self.frames = committed
                break
            self.state = "sending"
            self._compare |= moved.sessions_ended > 0
        if self._compare:
            for told in compare_sessions(self._target):
                log.log(logging.ERROR if told.unseen else logging.INFO, "%s", told.sentence())
            self._compare = False

        if monotonic() >= self._analyze_s:
            self._analyze_s = monotonic() + ANALYZE_S
            self._analyze()

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
        # Once for each outage, which may last for days; an error that needs a person again and again.
        if state != self.state or (lasting and monotonic() >= self._remind_s):
            self._remind_s = monotonic() + REMIND_S
            # If the journal was moved, the writer says what becomes of it.
            holds = "The journal holds everything; sending it" if self._journal.exists() else "Sending the journal"
            log.log(logging.ERROR if lasting else logging.WARNING, "%s %s is tried again until it works.", error, holds)
            self.state = state
        return wait_s
