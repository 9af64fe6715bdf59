"""What an order's flags say."""

import pytest

from recorder.venues.fmex import orders


@pytest.mark.parametrize(
    ("features", "time_in_force", "post_only"),
    [
        (None, None, None),
        (0, "gtc", 0),
        (orders.POST_ONLY, "gtc", 1),
        (orders.POST_ONLY | orders.HIDDEN, "gtc", 1),
        (orders.HIDDEN, "gtc", 0),
        (orders.FILL_OR_KILL, "fok", 0),
        (orders.IMMEDIATE_OR_CANCEL, "ioc", 0),
        (orders.LIQUIDATION, "gtc", 0),
    ],
)
def test_flags(features: int | None, time_in_force: str | None, post_only: int | None) -> None:
    assert (orders.time_in_force(features), orders.post_only(features)) == (time_in_force, post_only)
