"""Executions of a served record."""

import pytest

from recorder.model import MAKER, TAKER, UNKNOWN
from recorder.read.records import Fill
from recorder.replay.serving.rest import _execution


@pytest.mark.parametrize(("liquidity", "served"), [(TAKER, TAKER), (MAKER, MAKER), (UNKNOWN, None)])
def test_the_liquidity_of_an_execution_is_served_if_it_is_known(liquidity: str, served: str | None) -> None:
    fill = Fill._make([None] * len(Fill._fields))._replace(liquidity=liquidity, price_is_estimate=True, at_ms=5)
    execution = _execution(fill)
    assert (execution.fill.liquidity, execution.fill.executed_ms) == (served, 5)
    assert execution.price_is_estimate
