"""What a fill changes on which wallet."""

from decimal import Decimal

import pytest

from recorder.model import BUY
from recorder.venues.accounting import Execution, Move
from recorder.venues.hyperliquid.accounting import HyperliquidAccounting, HyperliquidLedger
from recorder.venues.hyperliquid.words import SPOT

D = Decimal


def bought(fee_currency: str | None) -> tuple[Move, ...] | None:
    """What two BTC bought for 100 USDC each, at a fee of 0.5, change."""
    fill = Execution(None, "BTC", BUY, D(100), D(2), D("0.5"), fee_currency, None)
    return HyperliquidLedger().moves(fill, HyperliquidAccounting().instrument("BTC"))


@pytest.mark.parametrize("fee_currency", ["USDC", None])
def test_a_fee_in_the_collateral_is_paid_with_the_value(fee_currency: str | None) -> None:
    assert bought(fee_currency) == (Move("", "USDC", D("-200.5"), D("0.5")),)


def test_a_fee_in_another_token_is_paid_from_spot() -> None:
    assert bought("HYPE") == (Move("", "USDC", D(-200), D(0)), Move(SPOT, "HYPE", D("-0.5"), D("0.5")))
