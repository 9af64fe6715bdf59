"""What FMex's stand-in tells of an account."""

import pytest

from recorder.model import PositionUpdate
from recorder.venues.fmex.stand_in import answers


@pytest.mark.parametrize(
    ("quantity", "closed"), [("0", True), ("0.0", True), ("0E-18", True), ("-0", True), ("10", False), ("1e2", False)]
)
def test_a_position_that_holds_nothing_is_closed_however_that_was_written(quantity: str, closed: bool) -> None:
    told = PositionUpdate._make([None] * len(PositionUpdate._fields))._replace(quantity=quantity)
    assert answers.position(told)["closed"] is closed
