"""What the tests of hostile frames of all venues share: values of any type, and that the database can take a result."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from recorder.model import CONTROL, DECODED, UNDECODED, Decoded
from recorder.store.columns import ExactDecimal
from recorder.store.schema import TYPED, TYPED_KEY
from recorder.venues.reading import ERROR_CHARS_MAX

#: Numbers as JSON and exchanges spell them.
DIGITS = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)

_TEXTS = ["", " ", "0", "-0", "-0.0", "-1", "1e5", "1E-9", "0x1", "9" * 99, "1795800000123"]
_WORDS = ["buy", "Buy", "BUY", "[]", '{"feeCoin":"X"}']
#: Values of any type, among them some that exchanges send.
VALUES: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([*_TEXTS, *_WORDS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def changed(draw: st.DrawFn, fields: Mapping[str, Any]) -> dict[str, Any]:
    """An object with some fields left out, and others with values of any type."""
    names = sorted(fields)
    left_out = draw(st.sets(st.sampled_from(names), max_size=4))
    others = draw(st.dictionaries(st.sampled_from(names) | st.text(max_size=8), VALUES, max_size=4))
    return {name: value for name, value in fields.items() if name not in left_out} | others


def check(decoded: Decoded) -> Decoded:
    """Make sure that the database can take what was decoded."""
    for text in (decoded.topic, decoded.error):
        check_text(text)
    assert (decoded.status == UNDECODED) == (decoded.error is not None)
    assert (decoded.status == CONTROL) == (decoded.control is not None)
    assert decoded.status == DECODED or not decoded.updates
    assert decoded.error is None or 0 < len(decoded.error) <= ERROR_CHARS_MAX
    for update in decoded.updates:
        columns = TYPED[type(update)].columns
        assert list(update._fields) == [column.name for column in columns if column.name not in TYPED_KEY]
        for name, value in update._asdict().items():
            if value is None:
                assert columns[name].nullable
            elif isinstance(columns[name].type, ExactDecimal):
                assert isinstance(value, str) and Decimal(value).is_finite()
            elif isinstance(value, int):
                assert -(2**63) <= value < 2**63
            else:
                assert isinstance(value, str)
                check_text(value)
                assert name != "extra" or json.loads(value, parse_int=str)
    return decoded


def check_text(value: str | None) -> None:
    """Make sure that the database can take a text."""
    assert "\0" not in (value or "").encode().decode()  # a lone surrogate cannot be encoded
