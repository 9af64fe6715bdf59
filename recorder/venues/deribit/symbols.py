"""What the name of an instrument says. Source: docs.deribit.com, "Naming".

`BTC-PERPETUAL` and `BTC-25DEC26` are inverse, `BTC_USDC-PERPETUAL` is linear, `BTC-25DEC26-100000-C` and
`XRP_USDC-30JUN26-0d625-C` are options, `ETH_USDC` is a spot market, `BTC-FS-25DEC26_PERP` is a combo of several.
"""

import re
from decimal import Decimal

from recorder.model import INVERSE, Instrument
from recorder.venues import expiry

_PERPETUAL = "PERPETUAL"
_is_date = re.compile(r"(\d{1,2})([A-Z]{3})(\d{2})").fullmatch


def native(symbol: str) -> str:
    """A symbol as the exchange spells it: in capitals, but for the `d` that is the point in an option's strike."""
    parts = symbol.upper().split("-")
    return "-".join([*parts[:2], *(part.replace("D", "d") if part[:1].isdigit() else part for part in parts[2:])])


def described(symbol: str, market: str | None = None) -> Instrument:
    """What a name says of its instrument. A quantity is in the base currency; of inverse contracts in USD."""
    pair, _, rest = symbol.partition("-")
    base, _, quote = pair.partition("_")
    parts = rest.split("-")
    if not rest:
        kind = "spot" if quote else None
        return Instrument(None, 0, market, symbol, kind, base, quote or None, quote or None, "1")
    settle = quote or base
    if len(parts) == 3 and parts[2] in {"C", "P"} and _is_date(parts[0]):
        return Instrument(None, 0, market, symbol, "option", base, settle, settle, "1")
    if len(parts) == 1 and (rest == _PERPETUAL or _is_date(rest)):
        kind = "linear" if quote else INVERSE
        return Instrument(None, 0, market, symbol, kind, base, quote or "USD", settle, "1")
    return Instrument(None, 0, market, symbol, None, base, None, settle)


def expires_ms(symbol: str) -> int | None:
    """When a future or an option expires, milliseconds since 1970; None: never, or its name does not say."""
    parts = symbol.split("-")
    return expiry.expires_ms(parts[1]) if len(parts) > 1 and _is_date(parts[1]) else None


def strike_of(option: str) -> Decimal:
    """The strike in the name of an option."""
    return Decimal(option.split("-")[2].replace("d", "."))
