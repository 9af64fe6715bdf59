"""Waiting for what nothing tells of: the end of a stranger's process, what another one writes."""

import time
from collections.abc import Callable

#: How long anything may take before a test gives up, seconds.
PATIENCE_S = 60.0


def wait_until(done: Callable[[], object]) -> None:
    """Ask until it is so."""
    until_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < until_s
        time.sleep(0.01)
