"""The venues: signing, commands, decoding and REST requests of each. Pure code, no sockets."""

from recorder.errors import ConfigurationError
from recorder.venues.base import Venue
from recorder.venues.fmex import FMex

#: All venues, by name.
VENUES: dict[str, Venue] = {FMex.name: FMex()}


def venue_named(name: str) -> Venue:
    """The venue of that name.

    Raises:
        ConfigurationError: there is none.
    """
    try:
        return VENUES[name]
    except KeyError:
        known = ", ".join(sorted(VENUES))
        raise ConfigurationError(f"There is no venue {name!r}; this recorder knows: {known}.") from None


def final_statuses(name: str) -> frozenset[str]:
    """The statuses in which an order can no longer change; none for a venue that only a newer recorder knows."""
    return VENUES[name].final_statuses if name in VENUES else frozenset()
