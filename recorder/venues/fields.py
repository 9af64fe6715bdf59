"""Reads the fields of JSON objects whose numbers may be texts: exact digits, whole numbers, flags, nested objects.

For venues that send `"px":"3120.4"`. A field that is missing or null is None; one of another type is refused, and the
error names it.
"""

import re
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import msgspec
from msgspec import Raw, UnsetType

from recorder.errors import Undecodable
from recorder.model import Digits
from recorder.venues import values

#: A JSON object. A number with a point or an exponent is a `Raw`, so that no digit is lost; any other one is an `int`.
Fields = dict[str, Any]

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
#: A number in a text that is certainly in range, and any number with its exponent.
_is_plain = re.compile(r"-?[0-9]{1,60}(?:\.[0-9]{1,38})?").fullmatch
_is_number = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?([0-9]+))?").fullmatch
_is_whole = re.compile(r"-?[0-9]{1,20}").fullmatch

_parse = msgspec.json.Decoder(float_hook=lambda text: Raw(text.encode())).decode
_encode = msgspec.json.Encoder().encode
#: The end of a name. Where no text holds a backslash, and no blank follows a quote, each name has exactly one.
_NAME_END = b'":'
_has_blank = re.compile(rb'"[ \t\r\n]').search


def read_json(payload: bytes) -> Any:
    """Parse a frame or an answer.

    Raises:
        Undecodable: an object has a duplicate name.
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not JSON.
    """
    tree = _parse(payload)
    # A duplicate name is lost in the tree, so the tree has fewer names than the payload. Counting takes a tenth of the
    # time of looking at every name.
    is_plain = b"\\" not in payload and not _has_blank(payload)
    if not is_plain or payload.count(_NAME_END) != _encode(tree).count(_NAME_END):
        values.refuse_duplicates(payload)
    return tree


def text(fields: Fields, name: str) -> str | None:
    """A text."""
    value = fields.get(name)
    if value is None:
        return None
    if type(value) is not str:
        raise _wrong(name, value, "a text")
    values.refuse_nul(name, value)
    return value


def digits(fields: Fields, name: str) -> Digits | None:
    """A number's digits as sent, whether it is a JSON number or a text; an empty text is None."""
    value = fields.get(name)
    if value is None or value == "":
        return None
    if type(value) is str:
        return number(name, value)
    if type(value) is int:
        value = Raw(str(value).encode())
    if type(value) is Raw:
        try:
            return values.digits(value)
        except Undecodable as error:
            raise Undecodable(f"{name}: {error}") from None
    raise _wrong(name, value, "a number")


def number(name: str, text: str | UnsetType | None) -> Digits | None:
    """The digits of a number in a text, as sent; None if there are none.

    Raises:
        Undecodable: it is not a number, or is out of range.
    """
    if not text:
        return None
    if _is_plain(text):
        return text
    found = _is_number(text)
    if found is None:
        raise _wrong(name, text, "a number")
    if len(text) > values.DIGITS_MAX or int((found[1] or "0")[-9:]) > values.EXPONENT_MAX or len(found[1] or "") > 9:
        raise Undecodable(f"{name}: {text[:40]} is out of range")
    return text


def milliseconds(name: str, text: str | UnsetType | None) -> int | None:
    """A time in milliseconds since 1970 in a text, without its fraction.

    Raises:
        Undecodable: it is not a number, or does not fit 64 bits.
    """
    if text and len(text) <= 18 and text.isascii() and text.isdigit():
        return int(text)
    sent = number(name, text)
    if sent is None:
        return None
    whole_ms = int(Decimal(sent).to_integral_value(ROUND_FLOOR))
    if not _INT64_MIN <= whole_ms <= _INT64_MAX:
        raise Undecodable(f"{name}: {sent[:40]} is out of range")
    return whole_ms


def whole(fields: Fields, name: str) -> int | None:
    """A whole number of 64 bits, whether it is a JSON number or a text; an empty text is None."""
    value = fields.get(name)
    if value is None or value == "":
        return None
    if type(value) is str and _is_whole(value):
        value = int(value)
    if type(value) is not int:
        raise _wrong(name, value, "a whole number")
    if not _INT64_MIN <= value <= _INT64_MAX:
        raise Undecodable(f"{name}: {value} is out of range" if abs(value) < 10**40 else f"{name}: out of range")
    return value


def identifier(fields: Fields, name: str) -> str | None:
    """An id, whether it is a whole number or a text."""
    value = fields.get(name)
    if type(value) is int and abs(value) < 10**40:
        return str(value)
    return text(fields, name)


def flag(fields: Fields, name: str) -> int | None:
    """1 for true, 0 for false."""
    value = fields.get(name)
    if value is None:
        return None
    if type(value) is not bool:
        raise _wrong(name, value, "true or false")
    return int(value)


def inner(fields: Fields, name: str) -> Fields:
    """A nested object; an empty one if there is none."""
    value = fields.get(name)
    return {} if value is None else as_object(value, name)


def listed(fields: Fields, name: str) -> list[Any]:
    """A list that must be there: without it, what the frame says is not known."""
    value = fields.get(name)
    if type(value) is not list:
        raise _wrong(name, value, "a list")
    return value


def objects(fields: Fields, name: str) -> list[Fields]:
    """A list of objects that must be there."""
    return [as_object(value, name) for value in listed(fields, name)]


def as_object(value: Any, name: str) -> Fields:
    """An object.

    Raises:
        Undecodable: it is something else; the error calls it by the name given.
    """
    if type(value) is not dict:
        raise _wrong(name, value, "an object")
    return value


def required(value: str | None, name: str) -> str:
    """A field without which a row has no key; an empty text is none."""
    if not value:
        raise Undecodable(f"{name}: missing")
    return value


def names(*known: str) -> frozenset[str]:
    """Names of fields, written with blanks between them."""
    return frozenset(" ".join(known).split())


def unknown(fields: Fields, known: frozenset[str], prefix: str = "") -> dict[str, str]:
    """The undocumented fields of an object: dotted name → JSON text; see `values.extra_text`."""
    if fields.keys() <= known:
        return {}
    return {prefix + name: _encode(value).decode() for name, value in fields.items() if name not in known}


def _wrong(name: str, value: Any, kind: str) -> Undecodable:
    shown = "missing" if value is None else f"{_encode(value)[:40].decode(errors='replace')} is not {kind}"
    return Undecodable(f"{name}: {shown}")
