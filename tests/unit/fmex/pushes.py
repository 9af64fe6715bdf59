"""Pushes written digit by digit: no JSON library has touched their numbers."""

import json
from decimal import Context, Decimal
from functools import reduce
from typing import get_args

from hypothesis import strategies as st

from recorder.venues.fmex.objects import SPELLINGS
from recorder.venues.values import read_fields
from tests.samples import sample


def _as_sent(name: str) -> dict[str, str]:
    inner = read_fields(read_fields(sample(name))[name])
    return {field: bytes(raw).decode() for field, raw in inner.items()}


#: The objects of the page: name → field → JSON text as sent.
PAGE = {name: _as_sent(name) for name in ("account", "order", "position")}

#: The field an object cannot do without.
KEY = {"account": "currency", "order": "id", "position": "symbol"}

_INTEGERS = ("id", "features", "risk_level", "created_at", "updated_at")

#: Fields whose words the exchange spells in capitals or in small letters.
WORDS = (*SPELLINGS, "symbol", "currency", "margin_currency")

TS = 1580802204232

_STATUSES = {
    "PENDING": "new",
    "PARTIAL_FILLED": "partially_filled",
    "FULLY_FILLED": "filled",
    "PARTIAL_CANCELLED": "canceled",
    "FULLY_CANCELLED": "canceled",
    "STOP_PENDING": "pending",
    "STOP_FAILED": "rejected",
    "STOP_CANCELLED": "canceled",
}

_EXACT = Context(prec=500)


def record_of(name: str, fields: dict[str, str]) -> dict[str, object]:
    """The record of an object, by its columns, as the documentation says; from its fields, each given as JSON text."""
    sent = {field: None if text == "null" else text for field, text in fields.items()}
    texts = {field: json.loads(text) for field, text in fields.items() if text.startswith('"')}
    numbers = {field: int(text) for field, text in sent.items() if text is not None and field in _INTEGERS}
    whole = {"event_ms": TS, "is_snapshot": 0, "is_partial": 0, "extra": None}
    record = {"account": _account, "order": _order, "position": _position}[name]
    return whole | record(sent, texts, numbers)


def _account(sent: dict[str, str | None], texts: dict[str, str], numbers: dict[str, int]) -> dict[str, object]:
    parts = [sent.get(field) for field in ("available", "frozen", "position")]
    known = [Decimal(part) for part in parts if part is not None]
    return {
        "wallet": None,
        "currency": texts["currency"].upper(),
        "balance": str(reduce(_EXACT.add, known, Decimal(0))) if len(known) == len(parts) else None,
        "available": parts[0],
        "locked": parts[1],
        "position_margin": parts[2],
        "equity": None,
        "unrealized_pnl": None,
        "updated_ms": numbers.get("updated_at"),
    }


def _order(sent: dict[str, str | None], texts: dict[str, str], numbers: dict[str, int]) -> dict[str, object]:
    quantity, unfilled, trigger = sent.get("quantity"), sent.get("unfilled_quantity"), sent.get("trigger_on")
    words = {field: text.upper() for field, text in texts.items()}
    features = numbers.get("features")
    filled = None
    if quantity is not None and unfilled is not None:
        filled = str(_EXACT.subtract(Decimal(quantity), Decimal(unfilled)))
    return {
        "market": None,
        "symbol": words.get("symbol"),
        "order_id": str(numbers["id"]),
        "client_order_id": None,
        "side": {"LONG": "buy", "SHORT": "sell"}.get(words.get("direction", "")),
        "position_side": None,
        "order_type": {"LIMIT": "limit", "MARKET": "market"}.get(words.get("type", "")),
        "time_in_force": None if features is None else "fok" if features & 1 else "ioc" if features & 8 else "gtc",
        "post_only": None if features is None else features >> 1 & 1,
        "reduce_only": None,
        "price": sent.get("price"),
        "trigger_price": trigger if trigger is not None and Decimal(trigger) else None,
        "quantity": quantity,
        "quote_quantity": None,
        "filled_quantity": filled,
        "average_price": sent.get("fill_price"),
        "status": _STATUSES.get(words.get("status", "")),
        "venue_status": texts.get("status"),
        "reason": None,
        "fee": sent.get("fee"),
        "fee_currency": words.get("margin_currency"),
        "created_ms": numbers.get("created_at"),
        "updated_ms": None,
    }


def _position(sent: dict[str, str | None], texts: dict[str, str], numbers: dict[str, int]) -> dict[str, object]:
    quantity = sent.get("quantity")
    if texts.get("direction", "").upper() == "SHORT" and quantity is not None and Decimal(quantity):
        quantity = quantity[1:] if quantity.startswith("-") else f"-{quantity}"
    return {
        "market": None,
        "symbol": texts["symbol"].upper(),
        "position_side": None,
        "position_id": None,
        "margin_mode": None,
        "quantity": quantity,
        "entry_price": sent.get("entry_price"),
        "mark_price": None,
        "liquidation_price": sent.get("liquidation_price"),
        "leverage": sent.get("leverage"),
        "margin": sent.get("margin"),
        "unrealized_pnl": None,
        "realized_pnl": sent.get("realized_pnl"),
        "updated_ms": numbers.get("updated_at"),
    }


def push(name: str, fields: dict[str, str], comma: str = ",", colon: str = ":") -> bytes:
    """The frame that carries an object's fields, each given as JSON text."""
    inner = comma.join(f'"{field}"{colon}{text}' for field, text in fields.items())
    outer = f'"type"{colon}"{name}.x"', f'"{name}"{colon}{{{inner}}}', f'"ts"{colon}{TS}'
    return ("{" + comma.join(outer) + "}").encode()


def holds_digits(name: str, field: str) -> bool:
    return not PAGE[name][field].startswith('"') and field not in _INTEGERS


_whole_part = st.from_regex(r"-?(0|[1-9][0-9]{0,40})", fullmatch=True)
_fraction = st.from_regex(r"(\.[0-9]{1,40})?", fullmatch=True)
_exponent = st.from_regex(r"([eE][-+]?[0-9]{1,2})?", fullmatch=True)

#: Any number of JSON that a market could have.
numbers = st.builds("{}{}{}".format, _whole_part, _fraction, _exponent)

int64s = st.integers(-(2**63), 2**63 - 1).map(str)

#: Any text that SQL can hold, as JSON.
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).map(json.dumps)


def _value(name: str, field: str) -> st.SearchStrategy[str]:
    if holds_digits(name, field):
        return numbers
    if field in SPELLINGS:
        return st.one_of(words, st.sampled_from([json.dumps(word) for word in get_args(SPELLINGS[field])]))
    return int64s if field in _INTEGERS else words


@st.composite
def pushes(draw: st.DrawFn) -> tuple[str, dict[str, str], bytes]:
    """An object's name, its fields as JSON texts, and the frame: one or two missing, in any order and spacing."""
    name = draw(st.sampled_from(sorted(PAGE)))
    left_out = draw(st.sets(st.sampled_from([field for field in PAGE[name] if field != KEY[name]]), max_size=2))
    fields = {field: draw(_value(name, field)) for field in PAGE[name] if field not in left_out}
    order = draw(st.permutations(list(fields))) if draw(st.booleans()) else list(fields)
    comma, colon = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n\t", " : ")]))
    return name, fields, push(name, {field: fields[field] for field in order}, comma, colon)
