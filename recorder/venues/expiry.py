"""When what expires does so, as its name says: `BTC-27MAR26`, `BTC-USD-260327`. Everywhere at 08:00 UTC. Pure."""

import re
from datetime import UTC, date, datetime, timedelta

#: At this time of the day, milliseconds.
EXPIRY_MS = 8 * 3_600_000
DAY_MS = 24 * 3_600_000

_is_word = re.compile(r"(\d{1,2})([A-Z]{3})(\d{2})", re.ASCII).fullmatch
_is_number = re.compile(r"(\d{2})(\d{2})(\d{2})", re.ASCII).fullmatch
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


def expires_ms(text: str) -> int | None:
    """When something with this date in its name expires, milliseconds since 1970; None: it is no date.

    Args:
        text: `27MAR26` or `260327`.
    """
    word, number = _is_word(text), _is_number(text)
    if word is not None and word[2] in _MONTHS:
        return _on(word[3], _MONTHS.index(word[2]) + 1, word[1])
    return None if number is None else _on(number[1], int(number[2]), number[3])


def next_day(at_ms: int) -> date:
    """The day on which something expires next after a time, milliseconds since 1970."""
    return datetime.fromtimestamp(((at_ms - EXPIRY_MS) // DAY_MS + 1) * DAY_MS // 1000, UTC).date()


def in_words(day: date) -> str:
    """A date as some exchanges write it: `27MAR26`."""
    return f"{day.day}{_MONTHS[day.month - 1]}{day:%y}"


def last_friday(day: date) -> date:
    """The last Friday of a month."""
    last = (day.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - 4) % 7)


def quarter_day(day: date) -> date:
    """The last Friday of a quarter on a day or after it, on which a quarter's futures expire."""
    friday = last_friday(day.replace(month=-(-day.month // 3) * 3, day=1))
    return friday if friday >= day else quarter_day((friday + timedelta(days=31)).replace(day=1))


def at_eight_ms(day: date) -> int:
    """The time of expiry on a day, milliseconds since 1970."""
    return (day - date(1970, 1, 1)).days * DAY_MS + EXPIRY_MS


def _on(year: str, month: int, day: str) -> int | None:
    try:
        return at_eight_ms(date(2000 + int(year), month, int(day)))
    except ValueError:
        return None
