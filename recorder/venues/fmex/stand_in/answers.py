"""Renders an account as FMex's REST pages show it, from what the exchange itself sent. Numbers keep their digits.

Unknown values are left out, never invented: pushes have fewer fields of orders and positions than REST has. Fields that
are not documented are passed on.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache

import msgspec
from msgspec import Raw

from recorder.errors import Undecodable
from recorder.model import MAKER, TAKER, Digits
from recorder.venues.fmex import rest
from recorder.venues.values import MISSING, digits, read_fields
from recorder.venues.view import Execution, SentState

_encode = msgspec.json.Encoder().encode
_read_text = msgspec.json.Decoder(str).decode
_read_list = msgspec.json.Decoder(list[Raw]).decode

Fields = dict[str, object]

#: An object as the exchange sent it: name → JSON text of the value.
Sent = dict[str, Raw]


class _Page(msgspec.Struct):
    results: list[Raw]


class _Results(msgspec.Struct):
    data: _Page


class _One(msgspec.Struct):
    data: Raw


_read_results = msgspec.json.Decoder(_Results).decode
_read_one = msgspec.json.Decoder(_One).decode


def answer(status: int | str, data: object) -> bytes:
    """The body of an answer."""
    return _encode({"status": status, "data": data})


def results(status: int | str, items: Iterable[Fields], **more: object) -> bytes:
    """The body of an answer with a list."""
    return answer(status, {**more, "results": list(items)})


def error(status: int, message: str) -> bytes:
    """The body of an HTTP error."""
    return _encode({"status": status, "msg": message})


def balances(states: Iterable[SentState]) -> Fields:
    """For each currency: available, frozen by orders, margin of positions."""
    return dict(map(_balance, states))


def order(state: SentState) -> Fields:
    """An order in REST's form."""
    return _known(_sent(state, "order"))


def position(state: SentState) -> Fields:
    """A position in REST's form; `closed` if its quantity is 0."""
    sent = _sent(state, "position")
    if "risk_level" in sent:
        sent["riskLevel"] = sent.pop("risk_level")
    fields = _known(sent)
    quantity = digits(sent.get("quantity", MISSING))
    if "closed" not in fields and quantity is not None:
        fields["closed"] = not Decimal(quantity)
    return fields


def match(execution: Execution) -> Fields:
    """One execution. `price_is_estimate`, which the exchange does not have, marks a derived price."""
    fill = execution.fill
    fields: Fields = {
        "taker": {TAKER: True, MAKER: False}.get(fill.liquidity or ""),
        "price": _number(fill.price),
        "quantity": _number(fill.quantity),
        "fee": _number(fill.fee),
        "created_at": fill.executed_ms,
    }
    return fields | ({"price_is_estimate": True} if execution.price_is_estimate else {})


def _balance(state: SentState) -> tuple[str, list[Raw]]:
    """A currency and its three amounts."""
    sent = _sent(state, "account")
    with _holding(state):
        if state.topic.startswith("/"):
            currency, amounts = list(sent.items())[state.item]
            return currency, _read_list(amounts)
        return _read_text(sent["currency"]), [sent.get(name, MISSING) for name in ("available", "frozen", "position")]


def _sent(state: SentState, name: str) -> Sent:
    """The object of a state: that of this name in a push; in an answer, one of its results, or all of its data.

    Raises:
        Undecodable: the frame does not hold the state.
    """
    path = state.topic.partition("?")[0]
    with _holding(state):
        if not path.startswith("/"):
            return read_fields(read_fields(state.payload)[name])
        if path in {rest.POSITIONS, rest.OPEN_ORDERS, rest.CLOSED_ORDERS}:
            return read_fields(_results(state.payload)[state.item])
        return read_fields(_read_one(state.payload).data)


@contextmanager
def _holding(state: SentState) -> Iterator[None]:
    try:
        yield
    except (msgspec.DecodeError, UnicodeDecodeError, LookupError) as error:
        raise Undecodable(f"the frame of {state.topic!r} does not hold the state of its typed row: {error}") from error


@lru_cache(maxsize=1)
def _results(payload: bytes) -> list[Raw]:
    """The results of an answer, which usually holds several of the states that are rendered one after the other."""
    return _read_results(payload).data.results


def _known(sent: Sent) -> Fields:
    return {name: value for name, value in sent.items() if value != MISSING}


def _number(number: Digits | None) -> Raw | None:
    return None if number is None else Raw(number)
