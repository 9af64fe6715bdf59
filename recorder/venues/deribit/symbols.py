"""What the name of an instrument says. Source: docs.deribit.com, "Naming".

`BTC-PERPETUAL` and `BTC-25DEC26` are inverse, `BTC_USDC-PERPETUAL` is linear, `BTC-25DEC26-100000-C` and
`XRP_USDC-30JUN26-0d625-C` are options, `ETH_USDC` is a spot market, `BTC-FS-25DEC26_PERP` is a combo of several.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal

from recorder.model import INVERSE, Instrument

#: Instruments expire at this time of the day, milliseconds: 08:00 UTC.
EXPIRY_MS = 8 * 3_600_000
DAY_MS = 24 * 3_600_000

_PERPETUAL = "PERPETUAL"
_is_date = re.compile(r"(\d{1,2})([A-Z]{3})(\d{2})").fullmatch
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


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
    found = _is_date(parts[1]) if len(parts) > 1 else None
    if found is None or found[2] not in _MONTHS:
        return None
    try:
        at = datetime(2000 + int(found[3]), _MONTHS.index(found[2]) + 1, int(found[1]), tzinfo=UTC)
    except ValueError:
        return None
    return int(at.timestamp()) * 1000 + EXPIRY_MS


def next_expiry(at_ms: int) -> str:
    """How the name of what expires next says when: `25DEC26`.

    Args:
        at_ms: a time, milliseconds since 1970.
    """
    days = (at_ms - EXPIRY_MS) // DAY_MS + 1
    at = datetime.fromtimestamp(days * DAY_MS // 1000, UTC)
    return f"{at.day}{_MONTHS[at.month - 1]}{at:%y}"


def strike_of(option: str) -> Decimal:
    """The strike in the name of an option."""
    return Decimal(option.split("-")[2].replace("d", "."))
