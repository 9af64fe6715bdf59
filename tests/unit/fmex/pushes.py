"""Pushes written digit by digit: no JSON library has touched their numbers."""

import json

from hypothesis import strategies as st

from recorder.venues.fmex.objects import SPELLINGS
from recorder.venues.fmex.values import read_fields
from tests.samples import sample


def _as_sent(name: str) -> dict[str, str]:
    inner = read_fields(read_fields(sample(name))[name])
    return {field: bytes(raw).decode() for field, raw in inner.items()}


#: The objects of the page: name → field → JSON text as sent.
PAGE = {name: _as_sent(name) for name in ("account", "order", "position")}

#: The field an object cannot do without.
KEY = {"account": "currency", "order": "id", "position": "symbol"}

#: (object, field of the page) → field of the record, where the two differ.
RENAMED = {
    ("account", "position"): "position_margin",
    ("order", "id"): "order_id",
    ("order", "type"): "order_type",
}

_INTEGERS = ("id", "features", "risk_level", "created_at", "updated_at")


#: Fields whose words a record has in capitals.
WORDS = (*SPELLINGS, "symbol", "currency", "margin_currency")


def column(name: str, field: str) -> str:
    """The field of the record that holds a field of the page."""
    return RENAMED.get((name, field), field)


def push(name: str, fields: dict[str, str], comma: str = ",", colon: str = ":") -> bytes:
    """The frame that carries an object's fields, each given as JSON text."""
    inner = comma.join(f'"{field}"{colon}{text}' for field, text in fields.items())
    outer = f'"type"{colon}"{name}.x"', f'"{name}"{colon}{{{inner}}}', f'"ts"{colon}1580802204232'
    return ("{" + comma.join(outer) + "}").encode()


def holds_digits(name: str, field: str) -> bool:
    """Whether a field's digits are kept as text."""
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
