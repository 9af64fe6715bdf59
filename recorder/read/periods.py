"""Days, months and years as a calendar has them. Pure."""

from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

BY_DAY, BY_MONTH, BY_YEAR, BY_ALL = "day", "month", "year", "all"
PERIODS = (BY_DAY, BY_MONTH, BY_YEAR, BY_ALL)

#: How many characters of `2019-12-31` name a period.
_CHARACTERS = {BY_DAY: 10, BY_MONTH: 7, BY_YEAR: 4}
#: Of an instant that no calendar has: an exchange can send nonsense once.
NO_PERIOD = "unknown"


class Calendar(NamedTuple):
    """What divides time into periods."""

    #: One of `PERIODS`.
    by: str = BY_DAY
    #: Whose midnight counts.
    zone: tzinfo = UTC

    def period(self, at_ms: int) -> str:
        """The period of an instant in ms since 1970: `2019-12-31`, `2019-12`, `2019` or `all`."""
        if self.by == BY_ALL:
            return BY_ALL
        try:
            day = datetime.fromtimestamp(at_ms // 1000, self.zone)
        except (ValueError, OverflowError, OSError):
            return NO_PERIOD
        return f"{day:%Y-%m-%d}"[: _CHARACTERS[self.by]]
