"""All faults mixed, over every venue: a few always, many by `make faults`, and at random for as long as one likes by
`make soak`.

Each run tells its seed; the same seed makes the same rules in the same order.
"""

from random import SystemRandom
from time import monotonic

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from recorder.venues import DEFAULT_VENUE, VENUES
from tests.depth import share, size
from tests.faults.conftest import Report
from tests.faults.mixed import Mixed
from tests.server import PostgresServer

#: Seeds of `make faults` for each venue, each with so many scenarios of so many rules.
SEEDS = range(20200204, 20200208)
SEEDS_SERVED = range(20200304, 20200306)
SCENARIOS = 3
RULES = 8


@pytest.fixture(scope="module")
def server(own_postgres: PostgresServer) -> PostgresServer:
    """A server that these tests may stop."""
    return own_postgres


def run(
    venue: str, seed_number: int, scenarios: int, rules: int, report: Report, server: PostgresServer | None = None
) -> None:
    print(f"seed {seed_number} of {venue}")
    failures: list[BaseException] = []
    members = {"venue": venue, "report": staticmethod(report), "server": server, "failures": failures}
    machine = seed(seed_number)(type("Mixed", (Mixed,), members))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=scenarios,
            stateful_step_count=rules,
            database=None,
            deadline=None,
            # What is found is reported as it was found: to shrink it would take hours, and real time differs anyway.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    if failures:
        raise failures[0]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("venue", share(VENUES, DEFAULT_VENUE, "hyperliquid", "bybit"))
def test_a_few_mixed_scenarios(report: Report, venue: str) -> None:
    run(venue, 1, size(4), size(16), report)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed_number", SEEDS)
@pytest.mark.parametrize("venue", VENUES)
def test_many_mixed_scenarios(report: Report, venue: str, seed_number: int) -> None:
    run(venue, seed_number, SCENARIOS, RULES, report)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed_number", SEEDS_SERVED)
@pytest.mark.parametrize("venue", VENUES)
def test_mixed_scenarios_with_a_server(report: Report, server: PostgresServer, venue: str, seed_number: int) -> None:
    run(venue, seed_number, SCENARIOS, RULES, report, server)


@pytest.mark.soak
def test_a_long_soak(report: Report, server: PostgresServer, request: pytest.FixtureRequest) -> None:
    until_s = monotonic() + 60 * float(request.config.getoption("--soak-minutes"))
    while monotonic() < until_s:
        for venue in VENUES:
            run(venue, SystemRandom().randrange(2**32), 2, RULES * 2, report)
            run(venue, SystemRandom().randrange(2**32), 2, RULES * 2, report, server)
