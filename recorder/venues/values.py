"""The values of a venue's JSON: exact digits, values that no column can hold, and unknown fields."""

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Raw

from recorder.errors import Undecodable
from recorder.model import Digits
from recorder.venues.accounting import EXACT

#: Ids, times and bit sets must fit a 64-bit column, or the frame is not decoded.
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

#: Longest number and largest exponent that are decoded: no market needs more, and no database column should get more.
DIGITS_MAX = 100
EXPONENT_MAX = 99

#: Stands for a missing number.
MISSING = Raw(b"null")

#: Maps each byte to its kind: `0` digit, `e` exponent letter, `,` our separator, `x` not part of a number.
_KINDS = bytes(
    ord("0") if byte in b"0123456789" else ord("e") if byte in b"eE" else byte if byte in b"," else ord("x")
    for byte in range(256)
)
#: Removed, so that an exponent's digits directly follow its letter.
_SIGNS = b"+-."
_OTHER = ord("x")
#: An exponent of three digits or more: leading zeros, or beyond `EXPONENT_MAX`.
_LONG_EXPONENT = b"e000"
#: A number with fewer digits in a row is no longer than `DIGITS_MAX`, even with signs, a point and an exponent.
_LONG_NUMBER = b"0" * (DIGITS_MAX - len("-.e-99") + 1)

#: A JSON object as name → JSON text of the value.
read_fields = msgspec.json.Decoder(dict[str, Raw]).decode


def digits(raw: Raw) -> Digits | None:
    """The digits of a JSON number as sent; None for null, as in `MISSING`.

    Raises:
        Undecodable: it is not a number, or is out of range.
    """
    text = str(raw, "utf-8")
    # msgspec has checked the syntax, so a leading digit or minus means a number; the rest protects the databases.
    if 0 < len(text) <= DIGITS_MAX and text[0] in "-0123456789":
        if "e" not in text and "E" not in text:
            return text
        if abs(int(text.lower().partition("e")[2])) <= EXPONENT_MAX:
            return text
    elif text == "null":
        return None
    wrong = "out of range" if text[0] in "-0123456789" else "not a number"
    raise Undecodable(f"{text[:40]} is {wrong}")


def all_digits(raws: Sequence[Raw]) -> Sequence[Digits | None]:
    """The digits of several JSON numbers, as `digits` of each, but faster together.

    Raises:
        Undecodable: one is not a number, or is out of range.
    """
    plain = plain_digits(raws)
    return [digits(raw) for raw in raws] if plain is None else plain


def plain_digits(raws: Iterable[Raw], *, in_range: bool = False) -> list[str] | None:
    """The digits of ordinary JSON numbers; None if one is missing or has to be checked on its own.

    Args:
        raws: the numbers.
        in_range: whether they have been checked before: none is too long or has too large an exponent.
    """
    joined = b",".join(raws)
    kinds = joined.translate(_KINDS, _SIGNS)
    if _OTHER in kinds:
        return None
    if in_range:
        return joined.decode().split(",")
    if kinds.rfind(_LONG_EXPONENT) >= 0:  # from the right: `e` is rarer than `0`
        return None
    if len(joined) > DIGITS_MAX and kinds.find(_LONG_NUMBER) >= 0:
        return None
    return joined.decode().split(",")


def total(*numbers: Digits) -> Digits:
    """The exact sum."""
    result = Decimal(0)
    for number in numbers:
        result = EXACT.add(result, Decimal(number))
    return str(result)


def plus(first: Digits | None, second: Digits | None) -> Digits | None:
    """The exact sum; a number that is missing or zero changes no digit of the other."""
    if first is None or unless_zero(second) is None:
        return second if first is None else first
    assert second is not None
    return second if unless_zero(first) is None else str(EXACT.add(Decimal(first), Decimal(second)))


def difference(whole: Digits, part: Digits) -> Digits:
    """What is left of a number, exactly."""
    if whole.isdigit() and part.isdigit():
        return str(int(whole) - int(part))
    return str(EXACT.subtract(Decimal(whole), Decimal(part)))


def negative(number: Digits) -> Digits:
    """A number with the other sign; zero has none."""
    if unless_zero(number) is None:
        return number
    return number[1:] if number.startswith("-") else f"-{number}"


def unless_zero(number: Digits | None) -> Digits | None:
    """A number; None if it is zero, where zero means that there is none."""
    rest = number.strip("0.-") if number else ""
    # Of zero with an exponent, the exponent is left.
    return None if not rest or (("e" in rest or "E" in rest) and not Decimal(number or 0)) else number


def check_values(struct: msgspec.Struct, prefix: str = "") -> None:
    """Refuse a JSON object with a field that cannot be stored.

    Raises:
        Undecodable: it names the field.
    """
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if isinstance(value, str):
            refuse_nul(prefix + name, value)
        elif isinstance(value, Raw):
            try:
                digits(value)
            except Undecodable as error:
                raise Undecodable(f"{prefix}{name}: {error}") from None


def refuse_nul(name: str, text: str) -> None:
    """Refuse a text with a NUL, which SQL cannot hold.

    Raises:
        Undecodable: it names the field.
    """
    if "\0" in text:
        raise Undecodable(f"{name}: holds a NUL character, which SQL text cannot")


def refuse_duplicates(payload: bytes) -> None:
    """Refuse an object with a duplicate key: JSON does not define which one counts.

    Raises:
        Undecodable: it names the key.
        UnicodeDecodeError: not all of it is UTF-8.
    """
    json.loads(str(payload, "utf-8"), object_pairs_hook=_once, parse_int=str, parse_float=str)


def _once(pairs: Iterable[tuple[str, object]]) -> None:
    seen = set()
    for name, _ in pairs:
        if name in seen:
            raise Undecodable(f"{name[:60]!r} comes twice in one object")
        seen.add(name)


def unknown_fields(fields: dict[str, Raw], struct: type[msgspec.Struct], prefix: str = "") -> dict[str, str]:
    """The undocumented fields of a JSON object: dotted name → JSON text as sent."""
    known = struct.__struct_encode_fields__
    return {prefix + name: str(raw, "utf-8") for name, raw in fields.items() if name not in known}


def extra_text(fields: dict[str, str]) -> str | None:
    """The column `extra`: unknown fields as one JSON object, their values as sent."""
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in fields.items()) + "}" if fields else None
