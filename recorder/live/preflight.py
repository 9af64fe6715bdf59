"""Before anything is written: does the exchange answer, and is this machine's clock one that it accepts?"""

import logging

from recorder.clock import Clock
from recorder.errors import Refused, Unavailable, Undecodable
from recorder.live.http import fetch
from recorder.live.settings import Account

log = logging.getLogger(__name__)

#: A clock off by more than this is worth a word, milliseconds.
WORTH_A_WORD_MS = 1_000


def check_clock(account: Account, clock: Clock, timeout_s: float) -> None:
    """Compare this clock with the exchange's.

    Raises:
        Refused: it is so far off that the exchange would refuse us.
        Unreachable: nobody answers there.
    """
    request = account.venue.server_time_request(account.url)
    asked_ms = clock.wall_ms()
    try:
        server_ms = account.venue.server_time_ms(fetch(request, account.credentials, timeout_s))
    except (Unavailable, Undecodable) as error:
        log.warning("%s: the exchange's clock is not known (%s)", account.name, error)
        return
    # The answer was made somewhere between the two: its middle is the best guess.
    ours_ms = (asked_ms + clock.wall_ms()) // 2
    off_ms = ours_ms - server_ms
    tolerance_ms = account.venue.clock_tolerance_ms
    if abs(off_ms) > tolerance_ms:
        raise Refused(
            f"This machine's clock is {_off(off_ms)} the exchange's, which refuses more than "
            f"{tolerance_ms // 1000} s: set it (for example with NTP) and start again."
        )
    if abs(off_ms) > WORTH_A_WORD_MS:
        log.warning("%s: this machine's clock is %s the exchange's: set it (NTP)", account.name, _off(off_ms))


def _off(off_ms: int) -> str:
    return f"{abs(off_ms) / 1000:.1f} s {'ahead of' if off_ms > 0 else 'behind'}"
