"""What a record tells of an account, in the forms of what was pushed."""

import pytest

from recorder.model import MAKER, TAKER, UNKNOWN
from recorder.read.records import Fill
from recorder.replay.serving.rest import _execution


@pytest.mark.parametrize(("liquidity", "taker"), [(TAKER, 1), (MAKER, 0), (UNKNOWN, None)])
def test_an_execution_says_who_took_where_that_is_known(liquidity: str, taker: int | None) -> None:
    fill = Fill._make([None] * len(Fill._fields))._replace(liquidity=liquidity, price_is_estimate=True)
    told = _execution(fill)
    assert told.fill.taker == taker
    assert told.price_is_estimate
