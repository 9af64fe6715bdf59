"""Decodes the frames of FMex's private portal: exact digits, and unknown fields are kept.

A frame with exactly the fields of the exchange's page is decoded in one pass; many of them together are faster still.
Any other frame (with more or fewer fields, an answer, nonsense) is decoded again by the careful decoder, which accepts
it or says what is wrong. Source of every field: the page "ws Push portal".
"""

from collections.abc import Iterable, Sequence
from typing import cast

import msgspec
from msgspec import Raw

from recorder.errors import Undecodable
from recorder.model import (
    CONTROL,
    DECODED,
    Acknowledged,
    Control,
    Decoded,
    Heartbeat,
    Hello,
    RefusedCommand,
    Update,
    new,
)
from recorder.venues.base import Plain
from recorder.venues.fmex.objects import (
    SPELLINGS,
    AccountObject,
    OrderObject,
    PositionObject,
    account_numbers,
    account_record,
    account_update,
    order_numbers,
    order_record,
    order_update,
    position_numbers,
    position_record,
    position_update,
)
from recorder.venues.reading import printable
from recorder.venues.values import (
    Int64,
    all_digits,
    check_values,
    extra_text,
    plain_digits,
    read_fields,
    refuse_duplicates,
    refuse_nul,
    unknown_fields,
)


class PushedFrame(msgspec.Struct, gc=False):
    """A pushed frame. On the exchange's page, each contains one of the three objects."""

    type: str | None = None
    ts: Int64 | None = None
    account: AccountObject | None = None
    order: OrderObject | None = None
    position: PositionObject | None = None


class PortalAnswer(msgspec.Struct, gc=False):
    """The portal's greeting and its answers to commands."""

    type: str | None = None
    ts: Int64 | None = None
    id: str | Int64 | None = None
    topics: list[str] | None = None
    gap: Int64 | None = None
    status: Int64 | None = None
    msg: str | None = None


_INNER: dict[str, type[msgspec.Struct]] = {"account": AccountObject, "order": OrderObject, "position": PositionObject}


def _whole(struct: type[msgspec.Struct]) -> type[msgspec.Struct]:
    fields = [(field.name, SPELLINGS.get(field.name, field.type)) for field in msgspec.structs.fields(struct)]
    return msgspec.defstruct(f"Whole{struct.__name__}", fields, forbid_unknown_fields=True, gc=False)


#: A `PushedFrame` with exactly the page's fields, and its spelling.
_WholePush = msgspec.defstruct(
    "WholePush",
    [("type", str), ("ts", Int64), *((name, _whole(struct) | None, None) for name, struct in _INNER.items())],
    forbid_unknown_fields=True,
    gc=False,
)

#: The number of colons in such a frame, if there is none inside a text: `type`, `ts`, the object's name, its fields. A
#: duplicate key would add one, so counting them rules out duplicates at no cost.
_ACCOUNT_COLONS, _ORDER_COLONS, _POSITION_COLONS = (3 + len(inner.__struct_fields__) for inner in _INNER.values())
#: Without a backslash, no text can contain a NUL.
_BACKSLASH = ord("\\")

_read_whole = cast("msgspec.json.Decoder[PushedFrame]", msgspec.json.Decoder(_WholePush)).decode
_read_push = msgspec.json.Decoder(PushedFrame).decode
_read_answer = msgspec.json.Decoder(PortalAnswer).decode


def decode(payload: bytes) -> Decoded:
    """Decode one frame.

    Raises:
        Undecodable, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it cannot be read.
            `recorder.venues.base.read_frame` turns these into a result.
    """
    try:
        push = _read_whole(payload)
        update: Update
        if _BACKSLASH not in payload:
            colons = payload.count(b":")
            if push.order is not None and colons == _ORDER_COLONS:
                update = order_record(push.ts, push.order, all_digits(order_numbers(push.order)), None)
                return new(Decoded, (push.type, DECODED, None, (update,), None, None, (), None, ()))
            if push.account is not None and colons == _ACCOUNT_COLONS:
                update = account_record(push.ts, push.account, all_digits(account_numbers(push.account)), None)
                return new(Decoded, (push.type, DECODED, None, (update,), None, None, (), None, ()))
            if push.position is not None and colons == _POSITION_COLONS:
                update = position_record(push.ts, push.position, all_digits(position_numbers(push.position)), None)
                return new(Decoded, (push.type, DECODED, None, (update,), None, None, (), None, ()))
    except (msgspec.ValidationError, Undecodable):
        pass
    return _decode_with_care(payload)


def decode_plain(payloads: Sequence[bytes], *, decodable: bool = False) -> Plain | None:
    """Decode frames that are exactly as on the page, together; None if one may not be.

    Args:
        payloads: of the frames.
        decodable: whether `decode` has accepted each before: no duplicate keys, all numbers in range.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: one is not.
    """
    pushes = [_read_whole(payload) for payload in payloads]
    numbers: list[Raw] = []
    colons = 0
    for push in pushes:
        order, account, position = push.order, push.account, push.position
        if order is not None and account is None and position is None:
            numbers += order_numbers(order)
            colons += _ORDER_COLONS
        elif account is not None and position is None and order is None:
            numbers += account_numbers(account)
            colons += _ACCOUNT_COLONS
        elif position is not None and account is None and order is None:
            numbers += position_numbers(position)
            colons += _POSITION_COLONS
        else:
            return None
    if decodable:
        digits = plain_digits(numbers, in_range=True)
        return None if digits is None else ([push.type or "" for push in pushes], _updates_of(pushes, digits))
    # No frame can have fewer colons than expected, so the total is right only if each count is.
    together = b"".join(payloads)
    digits = plain_digits(numbers)
    if digits is None or _BACKSLASH in together or together.count(b":") != colons:
        return None
    return [push.type or "" for push in pushes], _updates_of(pushes, digits)


def _updates_of(pushes: Iterable[PushedFrame], digits: Sequence[str]) -> list[tuple[Update]]:
    """The update of each push, given the digits of all their numbers."""
    updates: list[tuple[Update]] = []
    end = 0
    for push in pushes:
        begin = end
        if push.order is not None:
            end += 8
            updates.append((order_record(push.ts, push.order, digits[begin:end], None),))
        elif push.account is not None:
            end += 3
            updates.append((account_record(push.ts, push.account, digits[begin:end], None),))
        elif push.position is not None:
            end += 9
            updates.append((position_record(push.ts, push.position, digits[begin:end], None),))
    return updates


def _decode_with_care(payload: bytes) -> Decoded:
    push = _read_push(payload)
    str(payload, "utf-8")  # msgspec does not check texts in unknown fields
    fields = read_fields(payload)
    inner = {name: read_fields(fields[name]) for name in _INNER if getattr(push, name) is not None}
    if payload.count(b":") != len(fields) + sum(map(len, inner.values())):
        refuse_duplicates(payload)
    if not inner:
        return _answer(_read_answer(payload))
    if push.type is None:
        raise Undecodable("type: missing")
    unknown = unknown_fields(fields, PushedFrame)
    for name, its_fields in inner.items():
        unknown |= unknown_fields(its_fields, _INNER[name], f"{name}.")
        check_values(getattr(push, name), f"{name}.")
    refuse_nul("type", push.type)
    return Decoded(push.type, DECODED, updates=_updates(push, extra_text(unknown)))


def _updates(push: PushedFrame, extra: str | None) -> tuple[Update, ...]:
    # A push carries one of the three; if the page is wrong about that, none of them is dropped.
    if push.order is not None and push.account is None and push.position is None:
        return (order_update(push.ts, push.order, extra),)
    updates: list[Update] = []
    if push.account is not None:
        updates.append(account_update(push.ts, push.account, extra))
    if push.order is not None:
        updates.append(order_update(push.ts, push.order, extra))
    if push.position is not None:
        updates.append(position_update(push.ts, push.position, extra))
    return tuple(updates)


def _answer(answer: PortalAnswer) -> Decoded:
    control: Control
    match answer.type:
        case "ping":
            return Decoded("ping", DECODED, updates=(Heartbeat(answer.ts, 0, answer.gap),))
        case "hello":
            control = Hello(answer.ts)
        case "topics" if answer.topics is not None:
            control = Acknowledged(tuple(answer.topics))
        case None if answer.status:  # 0 never means a refusal on the exchange's pages
            command_id = None if answer.id is None else str(answer.id)
            control = RefusedCommand(command_id, answer.status, printable(answer.msg or ""))
        case None:
            raise Undecodable("type: missing")
        case unknown:
            raise Undecodable(f"type: {unknown[:60]!r} is not one we know, or its object is missing")
    return Decoded(answer.type, CONTROL, control=control)
