"""All faults mixed: a few always, fifty by `make faults`, and at random for as long as one likes by `make soak`.

Each run tells its seed; the same seed makes the same rules in the same order.
"""

from random import SystemRandom
from time import monotonic

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.depth import size
from tests.faults.conftest import Report
from tests.faults.mixed import Mixed
from tests.server import PostgresServer

#: Seeds of `make faults`, each with so many scenarios of so many rules.
SEEDS = range(20200204, 20200214)
SEEDS_SERVED = range(20200304, 20200308)
SCENARIOS = 5
RULES = 8


@pytest.fixture(scope="module")
def server(own_postgres: PostgresServer) -> PostgresServer:
    """A server that these tests may stop."""
    return own_postgres


def run(seed_number: int, scenarios: int, rules: int, report: Report, server: PostgresServer | None = None) -> None:
    print(f"seed {seed_number}")
    machine = seed(seed_number)(type("Mixed", (Mixed,), {"report": staticmethod(report), "server": server}))
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


@pytest.mark.timeout(300)
def test_a_few_mixed_scenarios(report: Report) -> None:
    run(1, size(8), size(16), report)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed_number", SEEDS)
def test_fifty_mixed_scenarios(report: Report, seed_number: int) -> None:
    run(seed_number, SCENARIOS, RULES, report)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed_number", SEEDS_SERVED)
def test_mixed_scenarios_with_a_server(report: Report, server: PostgresServer, seed_number: int) -> None:
    run(seed_number, SCENARIOS, RULES, report, server)


@pytest.mark.soak
def test_a_long_soak(report: Report, server: PostgresServer, request: pytest.FixtureRequest) -> None:
    until_s = monotonic() + 60 * float(request.config.getoption("--soak-minutes"))
    while monotonic() < until_s:
        run(SystemRandom().randrange(2**32), 2, RULES * 2, report)
        run(SystemRandom().randrange(2**32), 2, RULES * 2, report, server)
