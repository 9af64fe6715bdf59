"""The channels that show the same as those of the face in other forms: by kind, currency or instrument, alone.

`user.orders` and `user.trades` are parts of `user.changes`; a portfolio can be followed for one currency.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import Raw

from recorder.venues.deribit.portal import CHANGES, PORTFOLIO
from recorder.venues.deribit.stand_in.frames import encode

#: Makes the frames of a channel from a frame of the face; most often one, or none.
Form = Callable[[bytes], Iterator[bytes]]

_PORTFOLIOS = "user.portfolio."


class _Params(msgspec.Struct):
    data: dict[str, Raw]


class _Frame(msgspec.Struct):
    params: _Params


_read = msgspec.json.Decoder(_Frame).decode
_read_list = msgspec.json.Decoder(list[Raw]).decode


def form_of(channel: str) -> tuple[str, Form] | None:
    """The channel of the face that a channel shows, and how; None: there is no such channel."""
    if channel in _PARTS:
        part, one_by_one = _PARTS[channel]
        return CHANGES, lambda payload: _parts(channel, payload, part, one_by_one=one_by_one)
    if channel.startswith(_PORTFOLIOS) and channel != PORTFOLIO:
        return PORTFOLIO, lambda payload: _portfolio(channel, payload)
    return None


#: Channel → the part of a change that it shows, and whether each of its objects is a frame.
_PARTS = {"user.orders.any.any.raw": ("orders", True), "user.trades.any.any.raw": ("trades", False)}


def _parts(channel: str, payload: bytes, part: str, *, one_by_one: bool) -> Iterator[bytes]:
    rows = _read_list(_read(payload).params.data[part])
    for data in rows if one_by_one else filter(None, [rows]):
        yield _push(channel, data)


def _portfolio(channel: str, payload: bytes) -> Iterator[bytes]:
    """The portfolio of the channel's currency, under the name that the exchange gives such a channel."""
    data: Any = _read(payload).params.data
    currency = msgspec.json.decode(data["currency"])
    if currency.lower() == channel.removeprefix(_PORTFOLIOS).lower():
        yield _push(channel.lower(), data)


def _push(channel: str, data: object) -> bytes:
    return encode({"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}})
