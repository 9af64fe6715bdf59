"""The shipper: moves the local journal's batches to the server's database, behind the writer and never in its way.

The journal holds everything first, so a server that is away, slow or full costs nothing but time: what waits lies in
the journal, not in memory, and is moved in order once the server takes it.
"""

import logging
from collections.abc import Callable
from threading import Event, Thread

from sqlalchemy.exc import DBAPIError as DriverError

from recorder.errors import DatabaseError
from recorder.live.backoff import Backoff
from recorder.store import migrate
from recorder.store.comparing import compare_sessions
from recorder.store.engine import blaming, database_path, explain, may_pass, open_engine, place
from recorder.store.mover import Mover

log = logging.getLogger(__name__)

#: Waits between attempts grow from the first to the last, seconds.
RETRY_FIRST_S = 0.5
RETRY_LAST_S = 30.0
#: What waiting does not make right is tried again no sooner than this: somebody may mend it while the run goes on.
LASTING_S = 60.0


class Shipper(Thread):
    """Moves batches to a server.

    Args:
        journal: the local file's address.
        server: the server's.
        on_end: called when the thread ends, in this thread.

    Attributes:
        failure: what ended the thread, other than a stop.
        frames: how many of this run's the server has, at the last time that it had all.
        state: for people: `connecting`, `up to date`, `sending` or `away`.
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
        self._mover = Mover(blaming(open_engine(journal, read_only=True), journal), self._target)
        self._backoff = Backoff(RETRY_FIRST_S, RETRY_LAST_S)
        self._prepared = False
        self._compare = True
        self._more = Event()
        self._committed = 0
        self._finishing = False
        self._give_up = Event()

    def check(self) -> None:
        """Before the run begins: is the server's database one that this program can write to?

        A server that is away is none of the run's business: it records into its journal. One that refuses us is.

        Raises:
            DatabaseError: with one sentence that says what to do.
        """
        try:
            self._prepare()
        except DriverError as error:
            explained = explain(self._server, error)
            if not may_pass(self._server, error):
                raise explained from error
            log.warning("%s Recording goes on into the journal.", explained)
            self.state = "away"

    def more(self, frames: int) -> None:
        """A batch has been committed to the journal, which holds so many frames of this run now."""
        self._committed = frames
        self._more.set()

    def finish(self) -> None:
        """The journal is complete: move the rest, and end. Then `join`."""
        self._finishing = True
        self._more.set()

    def give_up(self) -> None:
        """End after the transaction that goes on: the time is over. The next run moves the rest."""
        self._give_up.set()
        self.finish()

    def run(self) -> None:
        """The thread."""
        try:
            while not self._give_up.is_set():
                self._more.clear()
                # Looked at before moving: what was committed before `finish` is then moved for certain.
                finishing = self._finishing
                wait_s = self._try_to_catch_up()
                if wait_s is not None:
                    self._give_up.wait(wait_s)
                elif finishing:
                    break
                else:
                    self._more.wait()
        except BaseException as error:  # noqa: BLE001  main shows it and ends the run
            self.failure = error
        finally:
            self._mover.close()
            self._on_end()

    def _try_to_catch_up(self) -> float | None:
        """Move everything there is. Returns how long to wait before another attempt, in seconds; None: all is there."""
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
            self._prepared = True

    def _catch_up(self) -> None:
        while not self._give_up.is_set():
            committed = self._committed
            moved = self._mover.step()
            if self.state == "away":
                log.info("%s answers again: sending what waits in the journal", place(self._server))
            self._backoff.reset()
            if moved is None:
                self.state = "up to date"
                # All that was committed before this look is there, whoever moved it.
                self.frames = committed
                break
            self.state = "sending"
            self._compare |= moved.sessions_ended > 0
        if self._compare:
            for told in compare_sessions(self._target):
                log.log(logging.ERROR if told.unseen else logging.INFO, "%s", told.sentence())
            self._compare = False

    def _try_again(self, error: DatabaseError, *, lasting: bool) -> float:
        wait_s = self._backoff.next_s(LASTING_S if lasting else 0.0)
        # Once for each outage: it may last for days.
        if self.state != "away":
            told = log.error if lasting else log.warning
            # A journal that was moved is noticed by the writer, which says what becomes of it.
            holds = "The journal holds everything; sending it" if self._journal.exists() else "Sending the journal"
            told("%s %s is tried again until it works.", error, holds)
            self.state = "away"
        return wait_s
