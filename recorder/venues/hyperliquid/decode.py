"""Decodes what Hyperliquid sends over its socket: exact digits, and unknown fields are kept.

Which channel makes which rows, so that each fact is counted once:

- `orderUpdates`, `openOrders`, `userHistoricalOrders`: order updates.
- `userFills`, `userTwapSliceFills`: fills, the same one by its trade id.
- `userFundings`, `userNonFundingLedgerUpdates`: transactions.
- `clearinghouseState`, `allDexsClearinghouseState`, `spotState`: positions and balances.
- Any other channel makes no row: its frames are kept, and its view shows them. `userEvents` repeats, with fewer
  fields, the fills, fundings and cancellations (`marginCanceled` and others) of the streams above.

Two streams, `orderUpdates` and `userEvents`, do not name the account; a connection has one account. `userEvents`
arrive on the channel `user`. Source: hyperliquid.gitbook.io, "WebSocket subscriptions".
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from recorder.errors import Undecodable
from recorder.model import (
    CONTROL,
    DECODED,
    Acknowledged,
    Control,
    Decoded,
    Heartbeat,
    Hello,
    Notice,
    RefusedCommand,
    Update,
)
from recorder.venues.comparable import listings_of
from recorder.venues.fields import (
    Fields,
    as_object,
    flag,
    inner,
    listed,
    names,
    objects,
    read_json,
    required,
    text,
    unknown,
)
from recorder.venues.hyperliquid import ledger
from recorder.venues.hyperliquid import objects as records
from recorder.venues.hyperliquid.comparable import LISTS
from recorder.venues.hyperliquid.objects import Around
from recorder.venues.hyperliquid.rest import decode_info
from recorder.venues.hyperliquid.topics import topic, topic_of
from recorder.venues.hyperliquid.words import MAIN_DEX
from recorder.venues.reading import printable

#: Servers of earlier years greeted with this text, which is not JSON.
GREETING = b"Websocket connection established."

_FRAME = frozenset({"channel", "data"})

#: Beginnings of refusals, after which the command or the subscription comes back.
_UNREADABLE = "Error parsing JSON into valid websocket request: "
_INVALID = "Invalid subscription "
_ALREADY_SUBSCRIBED = "Already subscribed: "
#: The limit of an address of ours: it names no topic, so each that is not acknowledged may be refused.
_LIMIT = "Cannot track more than "
_of_command = re.compile(r"id=(\d{1,20})\.?$").search
_http_status = re.compile(r"^(\d{3})\b").match


def decode(payload: bytes) -> Decoded:
    """Decode one frame.

    Raises:
        Undecodable, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it cannot be read.
            `recorder.venues.base.read_frame` turns these into a result.
    """
    if payload == GREETING:
        return Decoded(None, CONTROL, control=Hello())
    frame = as_object(read_json(payload), "frame")
    channel = required(text(frame, "channel"), "channel")
    if channel == "pong":
        return Decoded("pong", DECODED, updates=(Heartbeat(),))
    if "data" not in frame:
        raise Undecodable("data: missing")
    data = frame["data"]
    if channel in _CONTROLS:
        return _CONTROLS[channel](data)
    read = _CHANNELS.get(channel)
    if read is None:
        raise Undecodable(f"channel: {channel[:60]!r} is not one we know")
    name, updates = read(data, unknown(frame, _FRAME))
    return Decoded(name, DECODED, updates=tuple(updates), listings=listings_of(LISTS, name))


Read = tuple[str, Sequence[Update]]


def _data(data: Any, around: Around, known: str) -> tuple[Fields, Around]:
    """The object of a stream, and the undocumented fields of the frame and of it."""
    fields = as_object(data, "data")
    more = unknown(fields, names(known), "data.")
    return fields, {**around, **more} if more else around


def _order_updates(data: Any, around: Around) -> Read:
    orders = objects({"data": data}, "data")
    return "orderUpdates", [records.stated_order(one, around, is_push=True) for one in orders]


def _user_fills(data: Any, around: Around) -> Read:
    fields, around = _data(data, around, "isSnapshot user fills")
    user, snapshot = text(fields, "user"), flag(fields, "isSnapshot") or 0
    rows = objects(fields, "fills")
    fills = [records.fill_update(one, around, user, is_push=True, is_snapshot=snapshot) for one in rows]
    # A snapshot tells of older fills.
    closed = [] if snapshot else [position for one in rows for position in records.closed_by(one, is_push=True)]
    return "userFills", [*fills, *closed]


def _user_slice_fills(data: Any, around: Around) -> Read:
    fields, around = _data(data, around, "isSnapshot user twapSliceFills")
    user, snapshot = text(fields, "user"), flag(fields, "isSnapshot") or 0
    return "userTwapSliceFills", [
        records.slice_fill(one, around, user, is_push=True, is_snapshot=snapshot)
        for one in objects(fields, "twapSliceFills")
    ]


def _user_fundings(data: Any, around: Around) -> Read:
    fields, around = _data(data, around, "isSnapshot user fundings")
    snapshot = flag(fields, "isSnapshot") or 0
    # A sum in a snapshot may be of payments that were pushed. Of any others, REST is asked.
    rows = [one for one in objects(fields, "fundings") if not (snapshot and ledger.is_sum(one))]
    return "userFundings", [ledger.funding(one, around, is_push=True, is_snapshot=snapshot) for one in rows]


def _user_ledger(data: Any, around: Around) -> Read:
    fields, around = _data(data, around, "isSnapshot user nonFundingLedgerUpdates")
    user, snapshot = text(fields, "user"), flag(fields, "isSnapshot") or 0
    return "userNonFundingLedgerUpdates", [
        transaction
        for row in objects(fields, "nonFundingLedgerUpdates")
        for transaction in ledger.ledger_rows(row, around, user, is_push=True, is_snapshot=snapshot)
    ]


def _historical_orders(data: Any, around: Around) -> Read:
    fields, around = _data(data, around, "isSnapshot user orderHistory")
    snapshot = flag(fields, "isSnapshot") or 0
    return "userHistoricalOrders", [
        records.stated_order(one, around, is_push=True, is_snapshot=snapshot)
        for one in records.oldest_first(objects(fields, "orderHistory"))
    ]


def _margin_state(data: Any, around: Around) -> Read:
    fields, around = _data(data, around, "dex user clearinghouseState")
    dex = text(fields, "dex") or MAIN_DEX
    state = as_object(fields.get("clearinghouseState"), "clearinghouseState")
    return topic("clearinghouseState", dex), records.margin_state(state, dex, around)


def _all_margin_states(data: Any, around: Around) -> Read:
    fields, around = _data(data, around, "user clearinghouseStates")
    updates: list[Update] = []
    for pair in listed(fields, "clearinghouseStates"):
        if type(pair) is not list or len(pair) != 2 or type(pair[0]) is not str:
            raise Undecodable("clearinghouseStates: not a list of pairs of a name and a state")
        updates += records.margin_state(as_object(pair[1], "clearinghouseStates"), pair[0], around)
    return "allDexsClearinghouseState", updates


def _spot_state(data: Any, around: Around) -> Read:
    fields, around = _data(data, around, "user spotState")
    return "spotState", records.spot_state(as_object(fields.get("spotState"), "spotState"), around)


def _open_orders(data: Any, around: Around) -> Read:
    fields, around = _data(data, around, "dex user orders")
    name = topic("openOrders", text(fields, "dex"))
    return name, records.listed_orders(objects(fields, "orders"), around)


def _without_rows(kind: str) -> Callable[[Any, Around], Read]:
    """A channel whose frames no column carries."""

    def read(data: Any, _around: Around) -> Read:
        fields = data if type(data) is dict else {}
        return topic(kind, text(fields, "dex") or text(fields, "coin")), ()

    return read


_CHANNELS: dict[str, Callable[[Any, Around], Read]] = {
    "orderUpdates": _order_updates,
    "userFills": _user_fills,
    "userTwapSliceFills": _user_slice_fills,
    "userFundings": _user_fundings,
    "userNonFundingLedgerUpdates": _user_ledger,
    "userHistoricalOrders": _historical_orders,
    "clearinghouseState": _margin_state,
    "allDexsClearinghouseState": _all_margin_states,
    "spotState": _spot_state,
    "openOrders": _open_orders,
    "user": _without_rows("userEvents"),
    **{
        kind: _without_rows(kind)
        for kind in (
            "userTwapHistory",
            "twapStates",
            "webData2",
            "webData3",
            "activeAssetData",
            "notification",
        )
    },
}


def _control(name: str, control: Control) -> Decoded:
    return Decoded(name, CONTROL, control=control)


def _answered(data: Any) -> Decoded:
    """The answer to a command, which repeats it with the server's defaults added."""
    command = as_object(data, "data")
    method, name = text(command, "method"), topic_of(command)
    if method == "subscribe":
        return _control("subscriptionResponse", Acknowledged((name,)))
    return _control("subscriptionResponse", Notice(printable(f"{method} {name}")))


def _refused(data: Any) -> Decoded:
    """A refusal in words, without a code; some repeat the command or the subscription."""
    words = required(text({"data": data}, "data"), "data")
    shown = printable(words)
    if words.startswith(_ALREADY_SUBSCRIBED):
        named = _named(words.removeprefix(_ALREADY_SUBSCRIBED))
        if named:
            return _control("error", Acknowledged(named))
    for beginning in (_UNREADABLE, _INVALID):
        if words.startswith(beginning):
            return _control("error", RefusedCommand(None, None, shown, _named(words.removeprefix(beginning))))
    about = _of_command(words)
    if about or words.startswith(_LIMIT):
        return _control("error", RefusedCommand(about[1] if about else None, None, shown))
    return _control("error", Notice(shown))


def _named(command: str) -> tuple[str, ...]:
    """The topic of a command that a refusal repeats; nothing if it cannot be read."""
    try:
        return (topic_of(as_object(read_json(command.encode()), "command")),)
    except (Undecodable, ValueError, RecursionError):  # msgspec's and Unicode's errors are ValueErrors
        return ()


def _posted(data: Any) -> Decoded:
    """The answer to a request that was sent over the socket; see `recorder.venues.hyperliquid.rest`."""
    posted = as_object(data, "data")
    response = inner(posted, "response")
    command_id = str(posted.get("id"))
    kind, payload = text(response, "type"), response.get("payload")
    if kind == "info":
        answer = as_object(payload, "payload")
        request = {"type": required(text(answer, "type"), "type")}
        updates = tuple(decode_info(request, answer.get("data")))
        return Decoded(f"post {request['type']}", DECODED, updates=updates)
    if kind == "error":
        words = printable(required(text({"payload": payload}, "payload"), "payload"))
        status = _http_status(words)
        return _control("post", RefusedCommand(command_id, int(status[1]) if status else None, words))
    return _control("post", Notice(printable(f"answer {command_id} of type {kind}")))


_CONTROLS: dict[str, Callable[[Any], Decoded]] = {
    "subscriptionResponse": _answered,
    "error": _refused,
    "post": _posted,
}
