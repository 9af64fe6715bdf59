"""What the tests of recording share."""

from collections.abc import Iterator

import pytest

from recorder.live.wake import Wake
from tests.unit.live.peer import Peer


@pytest.fixture
def wake() -> Iterator[Wake]:
    """Not set."""
    wake = Wake()
    yield wake
    wake.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A server that opens every connection."""
    with Peer() as peer:
        yield peer
