"""The venues: signing, commands, decoding and REST requests of each. Pure code, no sockets."""

from functools import cache
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from recorder.errors import ConfigurationError

if TYPE_CHECKING:
    from recorder.venues.base import Venue

#: Name → where its class is. A venue is imported when it is first asked for: most commands need none.
VENUES = {
    "fmex": "recorder.venues.fmex:FMex",
    "bybit": "recorder.venues.bybit:Bybit",
    "hyperliquid": "recorder.venues.hyperliquid:Hyperliquid",
    "okx": "recorder.venues.okx:OKX",
    "deribit": "recorder.venues.deribit:Deribit",
    "binance_spot": "recorder.venues.binance_spot:BinanceSpot",
    "bitget": "recorder.venues.bitget:Bitget",
    "kraken": "recorder.venues.kraken:Kraken",
    "binance": "recorder.venues.binance:Binance",
}

#: The venue that is simulated where none is named.
DEFAULT_VENUE = "fmex"

#: An account in the example of a configuration.
EXAMPLE_ACCOUNT = """\
venue = "bybit"
key = "env:BYBIT_KEY"          # or file:/run/credentials/recorder.service/bybit_key
secret = "env:BYBIT_SECRET"
"""


def find_venue(name: str) -> "Venue | None":
    """The venue of that name; None for one that only a newer recorder knows."""
    return _loaded(VENUES[name]) if name in VENUES else None


def venue_named(name: str) -> "Venue":
    """The venue of that name.

    Raises:
        ConfigurationError: there is none.
    """
    venue = find_venue(name)
    if venue is None:
        raise ConfigurationError(
            f"There is no venue {name!r}; this version of recorder supports: {', '.join(sorted(VENUES))}."
        )
    return venue


@cache
def _loaded(place: str) -> "Venue":
    venue: Venue = resolve_name(place)()
    return venue
