"""Decodes the frames of Bybit's private stream: exact digits, and unknown fields are kept.

A push with documented fields only, of the documented types, is read in one pass. Any other frame (with more fields, a
number where a text should be, an answer to a command, nonsense) is read again by the careful decoder, which accepts it
or says what is wrong. Source: API v5, "WebSocket Stream", and frames that third parties captured.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Union, cast

import msgspec
from msgspec import UNSET, UnsetType

from recorder.errors import Undecodable
from recorder.model import (
    CONTROL,
    DECODED,
    Acknowledged,
    Control,
    Decoded,
    Heartbeat,
    LoggedIn,
    Notice,
    RefusedCommand,
    Update,
    new,
)
from recorder.venues.base import Plain
from recorder.venues.bybit import objects, records
from recorder.venues.bybit.fields import flag, integer, text
from recorder.venues.bybit.rows import EXECUTION, ORDER, POSITION, WALLET, read_row
from recorder.venues.bybit.words import INVERSE, LINEAR, OPTION, SPOT, UNIFIED
from recorder.venues.fields import Fields, as_object, listed, read_json, unknown
from recorder.venues.fields import objects as objects_of
from recorder.venues.reading import printable
from recorder.venues.values import Int64

_ROWS: dict[str, type[msgspec.Struct]] = {
    ORDER: objects.WholeOrder,
    EXECUTION: objects.WholeExecution,
    POSITION: objects.WholePosition,
    WALLET: objects.WholeWallet,
}
#: Topics that are kept without rows: they repeat executions with fewer fields, or are about what no table has.
_WITHOUT_ROWS = re.compile(
    r"execution\.fast(\.\w+)?|greeks|strategy|spread\.(order|execution)|rfq\.open\.(rfqs|quotes)|dcp\.\w+"
)
_ENVELOPE = frozenset(["topic", "id", "creationTime", "data"])


class _Push(msgspec.Struct, gc=False):
    """What is around the rows of a push."""

    creationTime: Int64  # noqa: N815 - the exchange's name
    data: list[Any]
    id: str | UnsetType = UNSET


class _Topic(NamedTuple):
    name: str
    kind: str
    #: That the topic's name says.
    category: str | None


def _topics() -> dict[type[_Push], _Topic]:
    """A struct for each topic, which msgspec finds by its name."""
    found: dict[type[_Push], _Topic] = {}
    for kind, row in _ROWS.items():
        for category in (None, SPOT, LINEAR, INVERSE, OPTION):
            if category is not None and (kind == WALLET or (kind, category) == (POSITION, SPOT)):
                continue
            topic = _Topic(kind if category is None else f"{kind}.{category}", kind, category)
            struct = msgspec.defstruct(
                f"Push_{topic.name.replace('.', '_')}",
                [("data", list[row])],  # type: ignore[valid-type]
                bases=(_Push,),
                tag_field="topic",
                tag=topic.name,
                forbid_unknown_fields=True,
                gc=False,
            )
            found[cast("type[_Push]", struct)] = topic
    return found


_TOPICS = _topics()
_BY_NAME = {topic.name: topic for topic in _TOPICS.values()}
_read_push = cast("msgspec.json.Decoder[_Push]", msgspec.json.Decoder(Union[tuple(_TOPICS)])).decode  # noqa: UP007

#: What a frame must not have for its keys to be counted: an escape (which may also be a NUL), or a blank after a text.
_UNUSUAL = (b"\\", b'" ', b'"\t', b'"\r', b'"\n')


def decode(payload: bytes) -> Decoded:
    """Decode one frame.

    Raises:
        Undecodable, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it cannot be read.
            `recorder.venues.base.read_frame` turns these into a result.
    """
    try:
        push = _read_push(payload)
        if _has_no_duplicates(payload, push):
            topic = _TOPICS[type(push)]
            return new(Decoded, (topic.name, DECODED, None, _updates(topic, push), None, None, (), None, ()))
    except (msgspec.ValidationError, Undecodable):
        pass
    return _decode_with_care(payload)


def decode_plain(payloads: Sequence[bytes], *, decodable: bool = False) -> Plain | None:
    """Decode pushes that have documented fields only; None if one may have others.

    Args:
        payloads: of the pushes.
        decodable: whether `decode` has accepted each before: no duplicate keys, no NUL.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError, Undecodable: one is something else.
    """
    topics: list[str] = []
    updates: list[tuple[Update, ...]] = []
    for payload in payloads:
        push = _read_push(payload)
        if not decodable and not _has_no_duplicates(payload, push):
            return None
        topic = _TOPICS[type(push)]
        topics.append(topic.name)
        updates.append(_updates(topic, push))
    return topics, updates


def _has_no_duplicates(payload: bytes, push: _Push) -> bool:
    """Whether the frame certainly has no key twice: as many keys as fields.

    Each key is followed by `":`. A text that begins with a colon looks like a key, so such a frame is read with care.
    """
    if any(unusual in payload for unusual in _UNUSUAL):
        return False
    keys = 3 + (push.id is not UNSET)
    for row in push.data:
        keys += _keys(row)
        if type(row) is objects.WholeWallet:
            keys += sum(map(_keys, row.coin))
    return payload.count(b'":') == keys


def _keys(row: msgspec.Struct) -> int:
    values = msgspec.structs.astuple(row)
    keys = len(values) - values.count(UNSET)
    inner = getattr(row, "cum_fee_detail", None) or getattr(row, "extra_fees", None)
    if inner and not isinstance(inner, str):
        keys += len(inner) if isinstance(inner, dict) else sum(map(_keys, inner))
    return keys


def _updates(topic: _Topic, push: _Push) -> tuple[Update, ...]:
    event_ms, category = push.creationTime, topic.category
    if topic.kind == WALLET:
        return tuple(
            records.account_update(coin, row.account_type or UNIFIED, event_ms, None)
            for row in push.data
            for coin in row.coin
        )
    convert = _CONVERT[topic.kind]
    if category is not None:
        for row in push.data:
            row.category = row.category or category
    return tuple([convert(row, event_ms, None) for row in push.data])


_CONVERT: Mapping[str, Callable[[Any, int | None, str | None], Update]] = {
    ORDER: records.order_update,
    EXECUTION: records.execution_update,
    POSITION: records.position_update,
}


def _decode_with_care(payload: bytes) -> Decoded:
    fields = as_object(read_json(payload), "frame")
    name = text(fields, "topic")
    if not name:
        return _answer(fields)
    topic = _BY_NAME.get(name)
    if topic is None:
        if _WITHOUT_ROWS.fullmatch(name):
            return Decoded(name, DECODED)
        raise Undecodable(f"topic: {name[:60]!r} is not one we know")
    event_ms, around = integer(fields, "creationTime"), unknown(fields, _ENVELOPE)
    updates: list[Update] = []
    for row in objects_of(fields, "data"):
        updates += read_row(topic.kind, row, topic.category, event_ms, around)
    return Decoded(name, DECODED, updates=tuple(updates))


#: The topic that a refusal names: `error:handler not found,topic:foo`, `error:topic:order needs auth first`.
_NAMED_TOPIC = re.compile(r"topic:([\w.]+)")
_ALREADY = "already subscribed"


def _answer(fields: Fields) -> Decoded:
    """An answer to a command. Those of order entry spell the names differently: `retCode`, `retMsg`, `reqId`."""

    def of(*names: str) -> str | None:
        return next((text(fields, name) for name in names if name in fields), None)

    op, code, message = of("op") or "", of("retCode", "ret_code"), printable(of("ret_msg", "retMsg") or "")
    if op == "pong" or (op == "ping" and message == "pong"):
        clock = listed(fields, "args")[:1] if "args" in fields else []
        event_ms = integer({"args": clock[0]}, "args") if clock else None
        return Decoded("pong", DECODED, updates=(Heartbeat(event_ms),))
    if "success" not in fields and code is None:
        raise Undecodable(f"neither a topic nor an answer to a command: its fields are {', '.join(fields)[:120]}")
    is_accepted = flag(fields, "success") is True if "success" in fields else code == "0"
    control = _control(op, of("req_id", "reqId") or op or None, code, message, is_accepted=is_accepted)
    return Decoded(op or None, CONTROL, control=control, secrets=_echoed(fields))


def _control(op: str, command_id: str | None, code: str | None, message: str, *, is_accepted: bool) -> Control:
    topics = tuple(_NAMED_TOPIC.findall(message))
    if not is_accepted and not (op == "subscribe" and _ALREADY in message):
        number = int(code) if code is not None and code.removeprefix("-").isdecimal() else None
        return RefusedCommand(command_id, number, message, topics)
    if op == "auth":
        return LoggedIn(command_id)
    if op == "subscribe":
        return Acknowledged(topics, command_id)
    return Notice(f"{op}: {message}" if message else op)


def _echoed(fields: Fields) -> tuple[str, ...]:
    """Key and signature, where an answer repeats the login that it is about."""
    request = fields.get("request")
    args = request.get("args") if type(request) is dict else None
    return tuple(one for one in args if type(one) is str and one) if type(args) is list else ()
