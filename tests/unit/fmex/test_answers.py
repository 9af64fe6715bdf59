"""What FMex's stand-in tells of an account."""

import msgspec
import pytest

from recorder.model import OrderUpdate, PositionUpdate
from recorder.venues.fmex.stand_in import answers


@pytest.mark.parametrize(
    ("quantity", "closed"), [("0", True), ("0.0", True), ("0E-18", True), ("-0", True), ("10", False), ("1e2", False)]
)
def test_a_position_that_holds_nothing_is_closed_however_that_was_written(quantity: str, closed: bool) -> None:
    told = PositionUpdate._make([None] * len(PositionUpdate._fields))._replace(quantity=quantity)
    assert answers.position(told)["closed"] is closed


def test_what_else_was_told_of_an_order_goes_out_again_and_nothing_else() -> None:
    bare = OrderUpdate._make([None] * len(OrderUpdate._fields))
    pushed = bare._replace(ts=5, extra='{"order.hidden":true,"channel":"a"}')
    answered = bare._replace(extra='{"hidden":true,"channel":"a"}')
    assert msgspec.json.encode(answers.order(pushed)) == b'{"hidden":true}'
    assert msgspec.json.encode(answers.order(answered)) == b'{"hidden":true,"channel":"a"}'
