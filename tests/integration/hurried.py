"""A clock that passes waits in no time, shared by a recorder and the simulated exchange that it asks.

How far it is ahead of the real clock is kept in a file that each process maps into its memory: so it goes on where it
was after a process was killed, and what one of them waited for has passed for the other as well.
"""

import mmap
import re
import sys
import time
from pathlib import Path
from threading import Event

from recorder.clock import NS_PER_MS, NS_PER_S, Clock

_BYTES = 8
#: Between two lines of progress, seconds.
PROGRESS_S = 0.02


class HurriedClock:
    """Real time, and ahead of it what was waited for. One thread at a time may wait.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.write_bytes(bytes(_BYTES))
        with path.open("r+b") as file:
            self._ahead_ns = memoryview(mmap.mmap(file.fileno(), _BYTES)).cast("q")
        self.clock = Clock(self.wall_ns, self.monotonic_s, self.wait)

    @property
    def ahead_s(self) -> float:
        """How long was waited so far, seconds."""
        return self._ahead_ns[0] / NS_PER_S

    def wall_ns(self) -> int:
        """See `Clock`."""
        return time.time_ns() + self._ahead_ns[0]

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return self.wall_ns() // NS_PER_MS

    def monotonic_s(self) -> float:
        """See `Clock`."""
        return time.monotonic() + self._ahead_ns[0] / NS_PER_S

    def wait(self, event: Event, wait_s: float) -> None:
        """See `Clock`: the time passes at once, unless the event has come."""
        if not event.is_set():
            self._ahead_ns[0] += int(wait_s * NS_PER_S) + 1


def main(path: Path) -> None:
    """The program `recorder`, by this clock. When it ends by itself, it prints what memory it held at most."""
    from recorder.cli import backfill, main, progress

    hurried = HurriedClock(path)
    setattr(backfill, "Clock", lambda: hurried.clock)  # noqa: B010  it is a class, whose calls are replaced
    progress._LogLines.every_s = PROGRESS_S
    try:
        main()
    finally:
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        print(f"peak {peak} KiB, {time.process_time():.1f} s", file=sys.stderr, flush=True)
