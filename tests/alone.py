"""Tests that measure time run while no other test does, also where several processes share the tests.

A test that is marked `alone` waits until those that run have ended; whoever comes after it waits until it has.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_SH, LOCK_UN, flock
from pathlib import Path

import pytest

#: Two files that are there anyway, so that nothing is left behind. What locks them is one process, for one test.
DOOR, ROOM = Path(__file__).parent / "__init__.py", Path(__file__)


@contextmanager
def in_the_room(*, alone: bool, door: Path = DOOR, room: Path = ROOM) -> Iterator[None]:
    """Together with others, or alone. Who waits for the others to leave keeps the door shut."""
    with door.open() as door_file, room.open() as room_file:
        flock(door_file, LOCK_EX)
        flock(room_file, LOCK_EX if alone else LOCK_SH)
        flock(door_file, LOCK_UN)
        try:
            yield
        finally:
            # Closing would not do: a child that was forked meanwhile may hold them open.
            flock(room_file, LOCK_UN)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Around everything else, so that no time limit counts the waiting."""
    with in_the_room(alone=item.get_closest_marker("alone") is not None):
        return (yield)
