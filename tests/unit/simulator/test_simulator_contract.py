"""The contract's arithmetic, compared with the samples of the exchange's page "ws Push portal"; and its properties."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from recorder.simulator import contract
from recorder.venues.fmex.stand_in.face import terms
from recorder.venues.simulated import PositionSide, Terms

(TERMS,) = terms(["btcusd_p"])
UNIT = TERMS.unit

#: The page's position: 1 contract long.
ENTRY = Decimal("9278.5")
MARGIN = Decimal("9.749658727683e-06")

#: The page's numbers went through a double: this much of a price may be lost in print.
PRINTED = Decimal("1e-11")

prices = st.integers(min_value=2, max_value=200_000).map(lambda ticks: Decimal(ticks) / 2)
quantities = st.integers(min_value=1, max_value=1_000_000).map(Decimal)
OTHER: dict[PositionSide, PositionSide] = {"long": "short", "short": "long"}
sides = st.sampled_from(["long", "short"])


def fee(quantity: Decimal, price: Decimal) -> Decimal:
    return contract.fee(contract.value(TERMS, quantity, price), TERMS.taker_rate, UNIT)


def test_the_pages_bankruptcy_price() -> None:
    computed = contract.bankruptcy_price(TERMS, "long", Decimal(1), ENTRY, MARGIN)
    assert abs(computed - Decimal("8512.606170669584")) < PRINTED


def test_the_pages_liquidation_price() -> None:
    computed = contract.liquidation_price(
        replace(TERMS, maintenance_rate=Decimal("0.1")), "long", Decimal(1), ENTRY, MARGIN
    )
    assert abs(computed - Decimal("9363.483892761602")) < 2 * PRINTED


def test_the_pages_fees_to_the_last_digit() -> None:
    assert fee(Decimal(1), Decimal("9288.0")) == Decimal("4.8449612403e-08")
    assert fee(Decimal(1), ENTRY) == Decimal("4.8499218623e-08")


def test_a_short_with_more_margin_than_value_cannot_go_bankrupt() -> None:
    assert contract.bankruptcy_price(TERMS, "short", Decimal(1), Decimal(10_000), Decimal("0.0001")) == 0
    assert contract.bankruptcy_price(TERMS, "short", Decimal(1), Decimal(10_000), Decimal("0.00009")) > 10_000


@given(side=sides, quantity=quantities, entry=prices, leverage=st.integers(2, 100))
def test_at_bankruptcy_margin_loss_and_fee_cancel_out(
    side: PositionSide, quantity: Decimal, entry: Decimal, leverage: int
) -> None:
    held = contract.margin(replace(TERMS, leverage=leverage), side, quantity, contract.value(TERMS, quantity, entry))
    price = contract.bankruptcy_price(TERMS, side, quantity, entry, held)
    gain = contract.profit(TERMS, side, quantity, entry, price)
    paid = fee(quantity, price)
    # The price is cut to 18 decimals, which moves the contracts' value by so much.
    cut = UNIT * quantity / (price * price)
    assert abs(held + gain - paid) <= 4 * UNIT + cut


@given(side=sides, quantity=quantities, entry=prices)
def test_liquidation_comes_before_bankruptcy(side: PositionSide, quantity: Decimal, entry: Decimal) -> None:
    held = contract.margin(TERMS, side, quantity, contract.value(TERMS, quantity, entry))
    liquidation = contract.liquidation_price(TERMS, side, quantity, entry, held)
    bankruptcy = contract.bankruptcy_price(TERMS, side, quantity, entry, held)
    assert liquidation > bankruptcy if side == "long" else liquidation < bankruptcy


@given(side=sides, quantity=quantities, entry=prices, price=prices)
def test_profit_is_antisymmetric(side: PositionSide, quantity: Decimal, entry: Decimal, price: Decimal) -> None:
    there = contract.profit(TERMS, side, quantity, entry, price)
    assert there == -contract.profit(TERMS, side, quantity, price, entry)
    assert there == -contract.profit(TERMS, OTHER[side], quantity, entry, price)


@given(quantity=quantities, entry=prices, added=quantities, price=prices)
def test_entry_keeps_the_value(quantity: Decimal, entry: Decimal, added: Decimal, price: Decimal) -> None:
    after = contract.entry_after(quantity, entry, added, price)
    assert min(entry, price) - UNIT <= after <= max(entry, price)
    separately = contract.value(TERMS, quantity, entry) + contract.value(TERMS, added, price)
    assert contract.value(TERMS, quantity + added, after) == pytest.approx(separately, abs=UNIT * 10**9)


OPTION = Terms(
    symbol="68000-C",
    kind="option",
    base="BTC",
    quote="USDT",
    settle="USDT",
    price_tick=Decimal(5),
    quantity_step=Decimal("0.01"),
    unit=Decimal("1E-8"),
    taker_rate=Decimal("0.01"),
    maker_rate=Decimal("0.01"),
    first_price=Decimal(1500),
    expires_ms=1,
    strike=Decimal(68_000),
)


@pytest.mark.parametrize(
    ("settle", "is_put", "price", "earned"),
    [
        ("USDT", False, "70000", "60"),
        ("USDT", False, "67999.5", "0"),
        ("USDT", False, "68000", "0"),
        ("USDT", True, "67999.5", "0.015"),
        ("USDT", True, "70000", "0"),
        # 0.03 * 2000 / 70000, cut to satoshi.
        ("BTC", False, "70000", "0.00085714"),
        ("BTC", True, "34000", "0.03"),
        ("BTC", True, "68000.5", "0"),
    ],
)
def test_what_an_option_earns_at_its_expiry(settle: str, is_put: bool, price: str, earned: str) -> None:
    terms = replace(OPTION, settle=settle, is_put=is_put)
    assert contract.payoff(terms, Decimal("0.03"), Decimal(price)) == Decimal(earned)


def test_a_bought_option_costs_its_premium_and_a_written_one_is_covered() -> None:
    premium, fee = Decimal(100) * Decimal("0.5"), Decimal("0.5")
    of = Decimal(100), Decimal("0.5")
    assert contract.need(OPTION, "buy", *of) == premium + fee
    assert contract.need(OPTION, "sell", *of) == 34_000 + fee
    assert contract.need(replace(OPTION, settle="BTC"), "sell", *of) == Decimal("0.5") + fee


@pytest.mark.parametrize("missing", ["strike", "expires_ms"])
def test_an_option_has_a_strike_and_an_expiry(missing: str) -> None:
    with pytest.raises(ValueError, match="needs a strike and an expiry"):
        replace(OPTION, **{missing: 0})


def test_average_is_exact_where_it_can_be() -> None:
    assert str(contract.average(Decimal("9288.0") * 3, Decimal(3))) == "9288.0"
    assert str(contract.average(Decimal("9288.0") + Decimal("9288.5"), Decimal(2))) == "9288.25"
    assert contract.average(Decimal(10), Decimal(3)) == Decimal("3.333333333333333333")
