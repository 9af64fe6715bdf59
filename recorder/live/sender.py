"""Sending checkpoints out: to files and commands, and to an authority for a time-stamp.

Any of them may hang, so each works in a thread of its own that a stop does not wait for.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from threading import Event, Lock, Thread

import urllib3

from recorder.audit.evidence import timestamp
from recorder.audit.evidence.delivery import Delivery
from recorder.clock import Clock
from recorder.errors import NotDelivered
from recorder.live.http import OK, cause
from recorder.live.settings import Authority

log = logging.getLogger(__name__)

#: A delivery that takes longer is reported as hanging, seconds.
HANGS_S = 30.0
#: A longer answer of an authority is cut, and then not valid.
TOKEN_BYTES_MAX = 2**20
#: For connecting to an authority, and for each read, seconds.
AUTHORITY_TIMEOUT_S = 10.0

#: Waits for a condition, or until a deadline; False if a stop ended the wait.
Wait = Callable[[Callable[[], bool]], bool]


class Sender(Thread):
    """Sends the newest note to one destination. A note that still waits when a newer one comes is dropped.

    Args:
        way: to the destination.
        clock: measures how long a delivery takes.

    Attributes:
        failing: whether the last delivery failed.
    """

    def __init__(self, way: Delivery, clock: Clock) -> None:
        super().__init__(name=f"sender {way.place}", daemon=True)
        self.failing = False
        self._way = way
        self._clock = clock
        #: When the current delivery began; None if there is none.
        self._began_s: float | None = None
        self._lock = Lock()
        self._next: str | None = None
        self._more = Event()
        self._settled = Event()
        self._settled.set()
        self._reported_hanging = False
        self._closing = False

    def send(self, note: str) -> None:
        """Send a note once the current delivery has ended. Returns at once."""
        with self._lock:
            began_s = self._began_s
            self._next = note
            self._settled.clear()
        self._more.set()
        if began_s is not None and self._clock.monotonic_s() - began_s >= HANGS_S and not self._reported_hanging:
            self._reported_hanging = True
            log.error("%s has not taken the last checkpoint yet: it hangs", self._way.place)

    def finish(self, timeout_s: float) -> None:
        """Wait for the last delivery, at most this long; then abandon it and end the thread."""
        if not self._settled.wait(timeout_s):
            log.error("%s has not taken the last checkpoint in time: the next run brings a newer one", self._way.place)
        self._closing = True
        self._way.abandon()
        self._more.set()

    def run(self) -> None:
        """The thread."""
        while True:
            self._more.wait()
            self._more.clear()
            if self._closing:
                return
            with self._lock:
                note, self._next = self._next, None
                self._began_s = self._clock.monotonic_s()
            if note is not None:
                self._deliver(note)
            with self._lock:
                self._began_s = None
                if self._next is None:
                    self._settled.set()

    def _deliver(self, note: str) -> None:
        place = self._way.place
        try:
            self._way.send(note)
        except NotDelivered as error:
            # Logged once for each outage, which may last for days.
            if not self.failing and not self._closing:
                log.error("A checkpoint could not be sent: %s Trying again at the next interval.", error)
            self.failing = True
        except Exception:
            log.exception("A checkpoint could not be sent to %s: recorder has a bug", place)
            self.failing = True
        else:
            if self.failing or self._reported_hanging:
                log.info("%s takes checkpoints again", place)
            self.failing = self._reported_hanging = False


class TimeStamper:
    """Gets the time-stamps of one run, one request at a time.

    Args:
        authority: to ask.
        on_end: called in another thread when a request has an outcome.
    """

    def __init__(self, authority: Authority, on_end: Callable[[], None]) -> None:
        self._authority = authority
        self._on_end = on_end
        self._request: Future[str] | None = None
        self._failing = False

    def token(self, note: str, wait: Wait) -> str | None:
        """A time-stamp token for a note; None if there is none by the time `wait` returns.

        A failure is logged once for each outage: a checkpoint without a time-stamp is valid, too.
        """
        # The last request may still hang, and there is never a second one beside it.
        if self._request is not None and not self._has_ended(self._request, wait):
            return None
        request = self._request = Future()
        Thread(name="time-stamp", target=self._ask, args=(note, request), daemon=True).start()
        if not self._has_ended(request, wait):
            return None
        error = request.exception()
        if error is not None:
            self._report(str(error))
            return None
        if self._failing:
            log.info("%s gives time-stamps again", self._authority.url)
            self._failing = False
        return request.result()

    def _ask(self, note: str, request: "Future[str]") -> None:
        try:
            request.set_result(request_token(self._authority, note))
        except Exception as error:  # noqa: BLE001  `token` reports it
            request.set_exception(error)
        finally:
            self._on_end()

    def _has_ended(self, request: "Future[str]", wait: Wait) -> bool:
        if wait(request.done) and not request.done():
            self._report(f"{self._authority.url} does not answer in time.")
        return request.done()

    def _report(self, why: str) -> None:
        if not self._failing:
            log.error("A checkpoint has no time-stamp: %s Asking again at the next checkpoint.", why)
        self._failing = True


def request_token(authority: Authority, note: str) -> str:
    """Get a time-stamp token for a note, and check it.

    Raises:
        NotDelivered: there is no answer.
        NotProven: the answer does not prove when the note existed.
    """
    url, request = authority.url, timestamp.request_for(note)
    headers = {"Content-Type": timestamp.QUERY_TYPE}
    try:
        with urllib3.PoolManager(retries=False, timeout=AUTHORITY_TIMEOUT_S) as pool:
            answer = pool.request(
                "POST", url, body=request.body, headers=headers, redirect=False, preload_content=False
            )
            try:
                body: bytes = answer.read(TOKEN_BYTES_MAX)
            finally:
                answer.close()  # there may be more of it
    except urllib3.exceptions.HTTPError as error:
        raise NotDelivered(f"{url} cannot be reached: {cause(error)}.") from None
    if answer.status != OK:
        raise NotDelivered(f"{url} answers with status {answer.status}.")
    return timestamp.token_from(body, request, note, authority.roots)
