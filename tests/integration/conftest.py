"""What the tests of whole processes share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.simulator import Simulator, SimulatorOptions
from tests.integration.process import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A user's empty folder."""
    return Folder(tmp_path)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A simulated exchange that makes a thousand pushes, then nothing more."""
    with Simulator(SimulatorOptions(pushes=1_000)) as one:
        yield one
