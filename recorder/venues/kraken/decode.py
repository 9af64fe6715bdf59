"""Decodes what Kraken sends over its private sockets: exact digits, and unknown fields are kept.

Which channel makes which rows, so that each fact is counted once:

- `executions`: order updates, and the fill that a trade event tells of. The newest fills that a snapshot repeats make
  fills only: what such an event says of its order was true when it was traded.
- `balances`: balances. The entries of the ledger that tell of them are transactions as REST lists them.
- `heartbeat`, `status`: no row.
- Channels of derivatives: see `recorder.venues.kraken.derivatives`.

Source: docs.kraken.com, "Spot WebSocket v2", "Unified WebSocket".
"""

from collections.abc import Callable, Sequence

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
    SequenceNumber,
    Update,
)
from recorder.venues.fields import (
    Fields,
    as_object,
    identifier,
    inner,
    names,
    objects,
    read_json,
    required,
    text,
    unknown,
    whole,
)
from recorder.venues.kraken import derivatives, ledger
from recorder.venues.kraken import objects as records
from recorder.venues.kraken.objects import Around
from recorder.venues.reading import printable

EXECUTIONS, BALANCES = "executions", "balances"

_FRAME = names("channel type data sequence ratecounter asset_class")
_SNAPSHOT = "snapshot"
_TRADE = "trade"


def decode(payload: bytes) -> Decoded:
    """Decode one frame.

    Raises:
        Undecodable, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it cannot be read.
            `recorder.venues.base.read_frame` turns these into a result.
    """
    frame = as_object(read_json(payload), "frame")
    if "channel" not in frame:
        return _answer(frame)
    channel = required(text(frame, "channel"), "channel")
    if channel == "heartbeat":
        # It says no more than a greeting: that the exchange is there. It is no push.
        return Decoded(channel, CONTROL, None, (), Hello())
    if channel == "status":
        return Decoded(channel, CONTROL, None, (), _system(frame))
    around, is_snapshot = unknown(frame, _FRAME), int(text(frame, "type") == _SNAPSHOT)
    number = whole(frame, "sequence")
    sequence = None if number is None else SequenceNumber(number, bool(is_snapshot))
    if channel in derivatives.OWN:
        return derivatives.read(channel, frame, around, sequence)
    read = _CHANNELS.get(channel)
    if read is None:
        raise Undecodable(f"channel: {channel[:60]!r} is not one we know")
    rows = objects(frame, "data")
    updates = [update for row in rows for update in read(row, around, is_snapshot)]
    topic = derivatives.topic_of(channel, frame, rows)
    return Decoded(topic, DECODED, None, tuple(updates), sequence=sequence)


def decode_plain(payloads: Sequence[bytes], *, decodable: bool = False) -> None:
    """Nothing is gained by decoding several frames together: each is read on its own."""


def _execution(row: Fields, around: Around, is_snapshot: int) -> list[Update]:
    is_trade = text(row, "exec_type") == _TRADE
    if is_trade and is_snapshot:
        return [records.pushed_fill(row, around, is_alone=True)]
    order = records.order_update(row, around, is_snapshot=is_snapshot)
    return [order, records.pushed_fill(row, around, is_alone=False)] if is_trade else [order]


def _balance(row: Fields, around: Around, is_snapshot: int) -> Sequence[Update]:
    if ledger.is_of_position(row):
        return ()
    return records.balances(row, around) if is_snapshot else [ledger.balance_after(row, around)]


_CHANNELS: dict[str, Callable[[Fields, Around, int], Sequence[Update]]] = {
    EXECUTIONS: _execution,
    BALANCES: _balance,
}


def _system(frame: Fields) -> Control:
    """What a frame says about the exchange: that it trades as always, or something to take note of."""
    states = [text(row, "system") or "" for row in objects(frame, "data")]
    return Hello() if set(states) == {"online"} else Notice(printable(f"system: {', '.join(states)}"))


def _answer(frame: Fields) -> Decoded:
    """The answer to a command. A refusal may name nothing but the command."""
    method, command_id = text(frame, "method") or "", identifier(frame, "req_id")
    if method == "pong":
        return Decoded(method, DECODED, None, (Heartbeat(records.time_ms(frame, "time_out"), 0, None),))
    control: Control
    error = text(frame, "error") or text(frame, "Error") or text(frame, "errorMessage")
    channel = text(inner(frame, "result"), "channel") or text(inner(frame, "params"), "channel")
    channels = (channel,) if channel else ()
    if error or frame.get("success") is False:
        control = RefusedCommand(command_id, None, printable(error or "refused"), channels)
    elif method == "subscribe":
        control = Acknowledged(channels, command_id)
    elif method:
        control = Notice(printable(" ".join(filter(None, (method, channel)))))
    else:
        raise Undecodable("neither a channel nor a method")
    return Decoded(method or "error", CONTROL, None, (), control)
