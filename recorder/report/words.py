"""Numbers, times and other people's words for the page. None of them rounds a finding away."""

from decimal import Decimal
from itertools import pairwise

from recorder.clock import NS_PER_MS, NS_PER_S, utc_text
from recorder.venues.reading import printable

#: Other people's words are cut to this number of characters; the record has them in full.
WORDS_MAX = 300
#: Names are cut shorter, because many are shown side by side.
NAME_MAX = 40

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def words(text: object, at_most: int = WORDS_MAX) -> str:
    """Other people's words, safe to print and not too long."""
    clean = printable(str(text))
    return clean if len(clean) <= at_most else f"{clean[:at_most]}…"


def name(text: object) -> str:
    """Other people's name for something."""
    return words(text, NAME_MAX)


def duration(ns: int) -> str:
    """A length of time in its two largest units: `2 d 3 h`, `1 min 5 s`, `12.3 s`, `40 ms`."""
    whole_s = ns // NS_PER_S
    for (unit, size_s), (smaller, smaller_s) in pairwise(_UNITS):
        if whole_s >= size_s:
            rest = whole_s % size_s // smaller_s
            return _with(whole_s // size_s, unit) + (f" {_with(rest, smaller)}" if rest else "")
    if ns >= NS_PER_S:
        return _with(f"{whole_s}.{ns % NS_PER_S // 100_000_000}", "s")
    return _with(ns // NS_PER_MS, "ms") if ns >= NS_PER_MS or ns == 0 else f"under {_with(1, 'ms')}"


def _with(number: int | str, unit: str) -> str:
    """A number and its unit, never on two lines."""
    return f"{number}\N{NO-BREAK SPACE}{unit}"


def percent(part: int, whole: int) -> str:
    """A share in percent with three decimals, cut off: only the whole is 100."""
    thousandths = part * 100_000 // whole
    return f"{thousandths // 1000}.{thousandths % 1000:03d}"


def instant(ns: int | None) -> str:
    """A time to the second; UTC."""
    return utc_text(ns)[:19] if ns is not None else ""


def later(ns: int | None, than_ns: int | None) -> str:
    """A time to the second, without the date if that is the same as another's."""
    text, other = instant(ns), instant(than_ns)
    return text[11:] if text[:10] == other[:10] else text


def plain(value: Decimal) -> str:
    """A number's exact digits without trailing zeros; with an exponent only if it would be very long."""
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return min(text, str(value), key=len) if len(text) > NAME_MAX else text


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 gap`, `2 gaps`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listing(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
