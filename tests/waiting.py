"""Waiting for what nothing tells of: the end of a stranger's process, what another one writes."""

import time
from collections.abc import Callable

#: How long anything may take before a test gives up, seconds.
PATIENCE_S = 60.0
#: Pause between two questions, seconds at least and in multiples of what a question took: a new connection to a file
#: parses its schema, and the tests that wait share the processors with those that do not.
PAUSE_S, PAUSE_TIMES = 0.01, 4


def wait_until(
    done: Callable[[], object], *, patience_s: float = PATIENCE_S, failed: Callable[[], object] = lambda: ""
) -> None:
    """Ask until it is so.

    Args:
        done: the question.
        patience_s: how long at most, seconds.
        failed: what to say if it did not come to that.
    """
    until_s = time.monotonic() + patience_s
    asked_s = time.monotonic()
    while not done():
        now_s = time.monotonic()
        assert now_s < until_s, failed()
        time.sleep(max(PAUSE_S, PAUSE_TIMES * (now_s - asked_s)))
        asked_s = time.monotonic()
