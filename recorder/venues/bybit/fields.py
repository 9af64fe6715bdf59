"""Reads Bybit's objects field by field, so that one unknown field or an unusual type costs no frame.

Texts and numbers are interchangeable here: a price may be `"1.5"` or `1.5`, and keeps its digits either way.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import TypeVar

import msgspec
from msgspec import Raw

from recorder.errors import Undecodable
from recorder.venues.bybit.objects import ExtraFee, WalletObject
from recorder.venues.fields import milliseconds
from recorder.venues.values import read_fields, refuse_nul

_Object = TypeVar("_Object", bound=msgspec.Struct)

json_text = msgspec.json.Decoder(str).decode
read_list = msgspec.json.Decoder(list[Raw]).decode


def text(name: str, raw: Raw) -> str | None:
    """A text, or the digits of a number; None for null.

    Raises:
        Undecodable: it is something else, or has a NUL.
    """
    sent = str(raw, "utf-8")
    if sent.startswith('"'):
        value = json_text(raw)
        refuse_nul(name, value)
        return value
    if sent == "null":
        return None
    if sent[0] in "-0123456789":
        return sent
    raise Undecodable(f"{name}: {sent[:40]} is neither a text nor a number")


def integer(name: str, raw: Raw) -> int | None:
    """A whole number of 64 bits; None for null and an empty text."""
    return milliseconds(name, text(name, raw))


def flag(name: str, raw: Raw) -> bool | None:
    """A truth value; None for null and an empty text."""
    sent = str(raw, "utf-8").strip('"').lower()
    if sent in {"true", "1"}:
        return True
    if sent in {"false", "0"}:
        return False
    if sent in {"null", ""}:
        return None
    raise Undecodable(f"{name}: {sent[:40]} is neither true nor false")


def opening(raw: Raw) -> str:
    """The first character of a value, which tells its type."""
    return str(raw, "utf-8")[:1]


def _fee_detail(name: str, raw: Raw) -> dict[str, str] | None:
    if opening(raw) != "{":  # "" and null: no fee
        if text(name, raw):
            raise Undecodable(f"{name}: not an object of coins and fees")
        return None
    fees = {}
    for coin, fee in read_fields(raw).items():
        refuse_nul(name, coin)
        fees[coin] = text(name, fee) or ""
    return fees


def _extra_fees(name: str, raw: Raw) -> str | list[ExtraFee] | None:
    if opening(raw) != "[":
        return text(name, raw)
    taxes = []
    for one in read_list(raw):
        inner = read_fields(one)
        coin, fee = (text(f"{name}.{key}", inner[key]) if key in inner else None for key in ("feeCoin", "fee"))
        taxes.append(ExtraFee(fee_coin=coin or "", fee=fee or ""))
    return taxes


#: Where a field is not a text.
_READERS: dict[str, Callable[[str, Raw], object]] = {
    "positionIdx": integer,
    "reduceOnly": flag,
    "isMaker": flag,
    "cumFeeDetail": _fee_detail,
    "extraFees": _extra_fees,
}


@cache
def _columns(struct: type[msgspec.Struct]) -> dict[str, tuple[str, Callable[[str, Raw], object]]]:
    """Fields that reach a column, by their names in JSON: the attribute, and how it is read."""
    return {
        field.encode_name: (field.name, _READERS.get(field.encode_name, text))
        for field in msgspec.structs.fields(struct)
        if (struct, field.name) != (WalletObject, "coin")  # a list of objects of their own
    }


def read_object(
    fields: Mapping[str, Raw], struct: type[_Object], others: frozenset[str], **given: object
) -> tuple[_Object, dict[str, str]]:
    """An object and its undocumented fields: name → JSON text as sent.

    Args:
        fields: of the JSON object.
        struct: what it is.
        others: documented fields that reach no column.
        given: attributes that are not read from the fields.

    Raises:
        Undecodable: it names the field that is missing or unreadable.
    """
    columns = _columns(struct)
    unknown: dict[str, str] = {}
    for name, raw in fields.items():
        column = columns.get(name)
        if column is not None:
            given[column[0]] = column[1](name, raw)
        elif name not in others:
            unknown[name] = str(raw, "utf-8")
    for field in msgspec.structs.fields(struct):
        if field.required and not given.get(field.name):
            raise Undecodable(f"{field.encode_name}: missing")
    return struct(**given), unknown
