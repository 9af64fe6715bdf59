"""Reads Bybit's objects field by field, so that one unknown field or an unusual type costs no frame.

Texts and numbers are interchangeable here: a price may be `"1.5"` or `1.5`, and keeps its digits either way.
"""

from collections.abc import Callable
from functools import cache
from typing import TypeVar

import msgspec
from msgspec import Raw

from recorder.errors import Undecodable
from recorder.venues import fields as of_any
from recorder.venues.bybit.objects import ExtraFee, WalletObject
from recorder.venues.fields import Fields, as_object, milliseconds, objects, unknown
from recorder.venues.values import refuse_nul

_Object = TypeVar("_Object", bound=msgspec.Struct)


def text(fields: Fields, name: str) -> str | None:
    """A text, or the digits of a number.

    Raises:
        Undecodable: it is something else, or has a NUL.
    """
    value = fields.get(name)
    if type(value) is int:
        return str(value)
    return str(value, "utf-8") if type(value) is Raw else of_any.text(fields, name)


def integer(fields: Fields, name: str) -> int | None:
    """A whole number of 64 bits; None for an empty text."""
    return milliseconds(name, text(fields, name))


def flag(fields: Fields, name: str) -> bool | None:
    """A truth value, or its text; None for an empty one."""
    value = fields.get(name)
    if type(value) is bool:
        return value
    sent = (text(fields, name) or "").lower()
    if sent not in _FLAGS:
        raise Undecodable(f"{name}: {sent[:40]} is neither true nor false")
    return _FLAGS[sent]


_FLAGS = {"true": True, "1": True, "false": False, "0": False, "": None}


def _fee_detail(fields: Fields, name: str) -> dict[str, str] | None:
    value = fields.get(name)
    if value is None or value == "":  # no fee
        return None
    fees = {}
    for coin, fee in as_object(value, name).items():
        refuse_nul(name, coin)
        fees[coin] = text({name: fee}, name) or ""
    return fees


def _extra_fees(fields: Fields, name: str) -> str | list[ExtraFee] | None:
    if type(fields[name]) is not list:
        return text(fields, name)
    return [ExtraFee(fee_coin=text(tax, "feeCoin") or "", fee=text(tax, "fee") or "") for tax in objects(fields, name)]


#: Where a field is not a text.
_READERS: dict[str, Callable[[Fields, str], object]] = {
    "positionIdx": integer,
    "reduceOnly": flag,
    "isMaker": flag,
    "cumFeeDetail": _fee_detail,
    "extraFees": _extra_fees,
}


@cache
def _columns(struct: type[msgspec.Struct]) -> dict[str, tuple[str, Callable[[Fields, str], object]]]:
    """Fields that reach a column, by their names in JSON: the attribute, and how it is read."""
    return {
        field.encode_name: (field.name, _READERS.get(field.encode_name, text))
        for field in msgspec.structs.fields(struct)
        if (struct, field.name) != (WalletObject, "coin")  # a list of objects of their own
    }


def read_object(
    fields: Fields, struct: type[_Object], others: frozenset[str], **given: object
) -> tuple[_Object, dict[str, str]]:
    """An object and its undocumented fields: name → JSON text.

    Args:
        fields: of the JSON object.
        struct: what it is.
        others: documented fields that reach no column.
        given: attributes that are not read from the fields.

    Raises:
        Undecodable: it names the field that is missing or unreadable.
    """
    columns = _columns(struct)
    for name in fields.keys() & columns.keys():
        attribute, read = columns[name]
        given[attribute] = read(fields, name)
    for field in msgspec.structs.fields(struct):
        if field.required and not given.get(field.name):
            raise Undecodable(f"{field.encode_name}: missing")
    return struct(**given), unknown(fields, others.union(columns))
