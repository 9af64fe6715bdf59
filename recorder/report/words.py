"""Numbers and times in words, for people. None of them rounds a finding away."""

from decimal import Decimal

from recorder.clock import NS_PER_MS, NS_PER_S, utc_text
from recorder.report.facts import Covered
from recorder.venues.base import printable

#: Somebody else's words are cut to so many characters: the record has them whole.
WORDS_MAX = 300
#: And names, of which a page is made to hold many side by side, to so many.
NAME_MAX = 40

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def words(text: object, at_most: int = WORDS_MAX) -> str:
    """Somebody else's words, fit for a page."""
    told = printable(str(text))
    return told if len(told) <= at_most else f"{told[:at_most]}…"


def name(text: object) -> str:
    """Somebody else's name for a thing."""
    return words(text, NAME_MAX)


def duration(ns: int) -> str:
    """A length of time by its two largest units: `2 d 3 h`, `1 min 5 s`, `12.3 s`, `40 ms`."""
    whole_s = ns // NS_PER_S
    for index, (unit, size_s) in enumerate(_UNITS):
        if whole_s >= size_s:
            smaller, smaller_s = _UNITS[index + 1] if index + 1 < len(_UNITS) else ("s", 1)
            rest = whole_s % size_s // smaller_s
            return _with(whole_s // size_s, unit) + (f" {_with(rest, smaller)}" if rest else "")
    if ns >= NS_PER_S:
        return _with(f"{whole_s}.{ns % NS_PER_S // 100_000_000}", "s")
    return _with(ns // NS_PER_MS, "ms") if ns >= NS_PER_MS or ns == 0 else f"under {_with(1, 'ms')}"


def _with(number: int | str, unit: str) -> str:
    """A number and its unit, never on two lines."""
    return f"{number}\N{NO-BREAK SPACE}{unit}"


def share(covered: Covered) -> str:
    """How much is covered; never rounded up."""
    if covered.begins_ns is None:
        return "not covered"
    whole_ns = covered.ends_ns - covered.begins_ns
    if covered.covered_ns == whole_ns:
        return "all covered"
    return f"{percent(covered.covered_ns, whole_ns)}\N{NO-BREAK SPACE}% covered"


def percent(part: int, whole: int) -> str:
    """A share in percent with three digits after the point, cut off: only all of it is 100."""
    thousandths = part * 100_000 // whole
    return f"{thousandths // 1000}.{thousandths % 1000:03d}"


def instant(ns: int | None) -> str:
    """An instant to the second; UTC."""
    return utc_text(ns)[:19] if ns is not None else ""


def later(ns: int | None, than_ns: int | None) -> str:
    """An instant to the second, without its day where that is the day of another one."""
    told, other = instant(ns), instant(than_ns)
    return told[11:] if told[:10] == other[:10] else told


def plain(value: Decimal) -> str:
    """A number's exact digits, without zeros that say nothing; with an exponent only where it would be very long."""
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return min(text, str(value), key=len) if len(text) > NAME_MAX else text


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 gap`, `2 gaps`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listing(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
