"""What an order's flags say of its fills, and what they do not."""

import pytest

from recorder.venues.fmex import orders


@pytest.mark.parametrize(
    ("features", "order_type", "expected"),
    [
        (None, None, "unknown"),
        (0, "LIMIT", "unknown"),
        (orders.POST_ONLY, "LIMIT", "maker"),
        (orders.POST_ONLY | orders.HIDDEN, "LIMIT", "maker"),
        (orders.HIDDEN, "LIMIT", "unknown"),
        (orders.FILL_OR_KILL, "LIMIT", "taker"),
        (orders.IMMEDIATE_OR_CANCEL, "LIMIT", "taker"),
        (0, "MARKET", "taker"),
        (None, "MARKET", "taker"),
        (orders.LIQUIDATION, "LIMIT", "unknown"),
    ],
)
def test_liquidity(features: int | None, order_type: str | None, expected: str) -> None:
    assert orders.liquidity(features, order_type) == expected
