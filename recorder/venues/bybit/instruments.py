"""What Bybit's symbols mean. Source: API v5, the page "Get Instruments Info"."""

from collections.abc import Mapping

import msgspec
from msgspec import UNSET

from recorder.model import Instrument
from recorder.venues.bybit.fields import read_object, text
from recorder.venues.bybit.objects import Text
from recorder.venues.bybit.words import INVERSE, LINEAR, OPTION, SPOT
from recorder.venues.fields import Fields, names, number
from recorder.venues.values import extra_text


class InstrumentObject(msgspec.Struct, gc=False, rename="camel"):
    """An instrument; the filters are objects of their own."""

    symbol: str
    contract_type: Text = UNSET
    base_coin: Text = UNSET
    quote_coin: Text = UNSET
    settle_coin: Text = UNSET


#: Of all categories.
OTHER_INSTRUMENT_FIELDS = """
  priceFilter lotSizeFilter leverageFilter riskParameters preListingInfo status symbolType launchTime deliveryTime
  deliveryFeeRate priceScale unifiedMarginTrade fundingInterval copyTrading upperFundingRate lowerFundingRate
  displayName forbidUplWithdrawal isPreListing optionsType innovation marginTrading stTag xstockMultiplier"""

_OTHERS = names(OTHER_INSTRUMENT_FIELDS)
_CONTRACTS = {"Linear": LINEAR, "Inverse": INVERSE}
_KINDS = frozenset([SPOT, LINEAR, INVERSE, OPTION])


def instrument(fields: Fields, category: str | None, event_ms: int | None, around: Mapping[str, str]) -> Instrument:
    """The record of an instrument.

    There is no multiplier: a quantity is in the base coin, or in USD for an inverse contract.
    """
    row, unknown = read_object(fields, InstrumentObject, _OTHERS)
    # Asked by coin, the exchange lists linear and inverse contracts together.
    for word, contract in _CONTRACTS.items():
        if (row.contract_type or "").startswith(word):
            category = contract
    return Instrument(
        event_ms=event_ms,
        is_snapshot=1,
        market=category,
        symbol=row.symbol,
        kind=category if category in _KINDS else None,
        base=row.base_coin or None,
        quote=row.quote_coin or None,
        settle=row.settle_coin or None,
        contract_size="1",
        price_tick=_filter(fields, "priceFilter", "tickSize"),
        quantity_step=_filter(fields, "lotSizeFilter", "qtyStep", "basePrecision"),
        extra=extra_text({**around, **unknown}),
    )


def _filter(fields: Fields, name: str, *members: str) -> str | None:
    inner = fields.get(name)
    if type(inner) is not dict:
        return None
    return next((number(member, text(inner, member)) for member in members if member in inner), None)
