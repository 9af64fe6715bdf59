"""What an order's flags say of its fills, and what they do not."""

import pytest

from recorder.simulator import records
from recorder.venues.fmex import flags


@pytest.mark.parametrize(
    ("features", "order_type", "expected"),
    [
        (None, None, "unknown"),
        (0, "LIMIT", "unknown"),
        (records.POST_ONLY, "LIMIT", "maker"),
        (records.POST_ONLY | records.HIDDEN, "LIMIT", "maker"),
        (records.HIDDEN, "LIMIT", "unknown"),
        (records.FILL_OR_KILL, "LIMIT", "taker"),
        (records.IMMEDIATE_OR_CANCEL, "LIMIT", "taker"),
        (0, "MARKET", "taker"),
        (None, "MARKET", "taker"),
        (records.LIQUIDATION, "LIMIT", "unknown"),
    ],
)
def test_liquidity(features: int | None, order_type: str | None, expected: str) -> None:
    assert flags.liquidity(features, order_type) == expected
