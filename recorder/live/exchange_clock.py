"""How far this machine's clock is off an exchange's, by the answers to heartbeats."""

import logging

from recorder.model import Heartbeat

log = logging.getLogger(__name__)


class ExchangeClock:
    """Warns once if the clocks are too far apart.

    Args:
        label: of the stream, for people.
        tolerance_ms: the largest error that the exchange accepts.
    """

    def __init__(self, label: str, tolerance_ms: int) -> None:
        self._label = label
        self._tolerance_ms = tolerance_ms
        self._beat_ms = 0
        self._warned = False

    def beat(self, now_ms: int) -> None:
        """Note that a heartbeat is sent, milliseconds since 1970."""
        self._beat_ms = now_ms

    def compare(self, heartbeat: Heartbeat, received_ms: int) -> None:
        """Warn if the exchange's clock was not read between our sending the heartbeat and its answer's arrival."""
        at_ms, off_ms = heartbeat.event_ms, heartbeat.gap_ms
        if off_ms is None and at_ms is not None and self._beat_ms:
            off_ms = max(self._beat_ms - at_ms, 0) or min(received_ms - at_ms, 0)
        if off_ms is None or self._warned or abs(off_ms) * 2 <= self._tolerance_ms:
            return
        self._warned = True
        log.error(
            "%s: this machine's clock is %.1f s off the exchange's, and at most %d s are allowed: set it (NTP)",
            self._label,
            off_ms / 1000,
            self._tolerance_ms // 1000,
        )
