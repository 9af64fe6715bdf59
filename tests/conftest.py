"""What every test shares."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.alone import pytest_runtest_protocol
from tests.faults.summary import pytest_terminal_summary
from tests.server import PostgresServer

__all__ = ["postgres", "pytest_runtest_protocol", "pytest_terminal_summary"]

# A deadline for a single example measures the machine.
settings.register_profile("recorder", deadline=None, print_blob=True)
settings.load_profile("recorder")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server that all tests share, each with a database of its own."""
    with PostgresServer() as server:
        yield server
