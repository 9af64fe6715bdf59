"""Asking a time-stamp authority, in a thread of its own: it may hang, and nobody's stop waits for it."""

import logging
from collections.abc import Callable
from threading import Thread

import urllib3

from recorder.audit.evidence import timestamp
from recorder.errors import NotDelivered
from recorder.live.http import OK, cause
from recorder.live.settings import Authority

log = logging.getLogger(__name__)

#: An answer of more bytes is none.
ANSWER_BYTES_MAX = 2**20
#: For connecting, and for each read, seconds.
TIMEOUT_S = 10.0

#: Waits until it is so, or for long enough; returns whether it was not a stop that ended the wait.
Wait = Callable[[Callable[[], bool]], bool]


def stamp(authority: Authority, note: str) -> str:
    """A token over a note, checked.

    Raises:
        NotDelivered: there is no answer.
        NotProven: there is one, but it does not prove when the note was there.
    """
    url, request = authority.url, timestamp.request_for(note)
    headers = {"Content-Type": timestamp.QUERY_TYPE}
    try:
        with urllib3.PoolManager(retries=False, timeout=TIMEOUT_S) as pool:
            answer = pool.request(
                "POST", url, body=request.body, headers=headers, redirect=False, preload_content=False
            )
            try:
                body: bytes = answer.read(ANSWER_BYTES_MAX)
            finally:
                answer.close()  # there may be more of it, which nobody wants
    except urllib3.exceptions.HTTPError as error:
        raise NotDelivered(f"{url} cannot be reached: {cause(error)}.") from None
    if answer.status != OK:
        raise NotDelivered(f"{url} answers with status {answer.status}.")
    return timestamp.token_from(body, request, note, authority.roots)


class Stamps:
    """Time-stamps of one run.

    Args:
        authority: who is asked.
        on_end: called when there is an outcome, in another thread.
    """

    def __init__(self, authority: Authority, on_end: Callable[[], None]) -> None:
        self._authority = authority
        self._on_end = on_end
        self._asking: _Asking | None = None
        self._failing = False

    def token(self, note: str, wait: Wait) -> str | None:
        """A token over a note; None where none has come when `wait` waits no longer.

        What is wrong is told once for each outage: a checkpoint without a time is one, too.
        """
        # There are never two questions: the last one may hang still.
        if self._asking is not None and not self._answered(self._asking, wait):
            return None
        asking = self._asking = _Asking(self._authority, note, self._on_end)
        asking.start()
        if not self._answered(asking, wait):
            return None
        if asking.error is not None:
            self._tell(str(asking.error))
        elif self._failing:
            log.info("%s gives time-stamps again", self._authority.url)
            self._failing = False
        return asking.token

    def _answered(self, asking: "_Asking", wait: Wait) -> bool:
        if wait(lambda: asking.over) and not asking.over:
            self._tell(f"{self._authority.url} does not answer in time.")
        return asking.over

    def _tell(self, why: str) -> None:
        if not self._failing:
            log.error("A checkpoint has no time-stamp: %s It is asked for again at the next one.", why)
        self._failing = True


class _Asking(Thread):
    """One question."""

    def __init__(self, authority: Authority, note: str, on_end: Callable[[], None]) -> None:
        super().__init__(name="time-stamp", daemon=True)
        self.note = note
        #: Whether there is an outcome: the token, or why there is none.
        self.over = False
        self.token: str | None = None
        self.error: BaseException | None = None
        self._authority = authority
        self._on_end = on_end

    def run(self) -> None:
        """The thread."""
        try:
            self.token = stamp(self._authority, self.note)
        except Exception as error:  # noqa: BLE001  told by who waits
            self.error = error
        finally:
            self.over = True
            self._on_end()
