"""What the tests of faults share: a scene each, and the matrix that their verdicts add up to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recorder.simulator import Simulator, SimulatorOptions
from tests.faults import matrix
from tests.faults.oracle import Verdict
from tests.faults.scene import Scene
from tests.integration.process import Folder

#: A verdict, the fault it is of, and how long each recovery took in seconds.
Report = Callable[[str, Verdict, list[float]], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--matrix-into", type=Path, help="write the matrix of faults into this file, between its marks")
    parser.addoption("--share", help="K/N: every Nth of the scenarios only, beginning with the Kth, such as `3/10`")
    parser.addoption("--soak-minutes", type=float, default=30.0, help="how long the soak test goes on")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not in the chosen share; neighbors are alike, so each share has some of all kinds."""
    if (share := config.getoption("--share")) is None:
        return
    first, of = map(int, share.split("/"))
    kept = items[first % of :: of]
    config.hook.pytest_deselected(items=[item for at, item in enumerate(items) if at % of != first % of])
    items[:] = kept


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Tell the matrix how a scenario went."""

    def tell(fault: str, verdict: Verdict, recover_s: list[float]) -> None:
        told = {
            "fault": fault,
            "venue": verdict.venue,
            "sent": verdict.sent,
            "lost_outside_gaps": verdict.lost_outside_gaps,
            "duplicated": verdict.duplicated,
            "fills": verdict.fills,
            "fills_missing": verdict.fills_missing,
            "unclean": int(bool(verdict.findings)),
            "recover_s": recover_s,
        }
        request.node.user_properties.append((matrix.PROPERTY, told))

    return tell


@pytest.fixture
def exchange_rate() -> float:
    """Pushes a second."""
    return 500


@pytest.fixture
def exchange(exchange_rate: float) -> Iterator[Simulator]:
    """An exchange that trades on and on."""
    with Simulator(SimulatorOptions(rate_per_s=exchange_rate)) as simulator:
        yield simulator


@pytest.fixture
def scene(tmp_path: Path, exchange: Simulator, report: Report) -> Scene:
    """A recorder process at that exchange."""
    return Scene(Folder(tmp_path), exchange, report)
