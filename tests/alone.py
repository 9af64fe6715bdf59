"""Tests that measure time run while no other test does, also where several processes share the tests.

A test that is marked `alone` waits until no other runs; those that come later do not wait for it. So `make test` leaves
them to its end, where nothing has to stand still for them.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_SH, LOCK_UN, flock
from pathlib import Path

import pytest

#: A file that is there anyway, so that nothing is left behind. What locks it is one process, for one test.
ROOM = Path(__file__)


@contextmanager
def in_the_room(*, alone: bool, room: Path = ROOM) -> Iterator[None]:
    """Together with others, or alone."""
    with room.open() as file:
        flock(file, LOCK_EX if alone else LOCK_SH)
        try:
            yield
        finally:
            # Closing would not do: a child that was forked meanwhile may hold it open.
            flock(file, LOCK_UN)


def is_alone(item: pytest.Item) -> bool:
    """Whether a test runs while no other does."""
    return item.get_closest_marker("alone") is not None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Around everything else, so that no time limit counts the waiting."""
    with in_the_room(alone=is_alone(item)):
        return (yield)
