"""Frames that no exchange should send: each becomes a result that can be stored, and none raises."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recorder.model import CONTROL, DECODED, UNDECODED, Decoded
from recorder.store.columns import ExactDecimal
from recorder.store.schema import TYPED, TYPED_KEY
from recorder.venues.reading import ERROR_CHARS_MAX, read_frame
from tests.samples import FMEX, sample
from tests.unit.fmex.pushes import PAGE, holds_digits, push

#: (record, field) of the columns that hold exact digits.
#: Columns that a decoder computes from several fields.
COMPUTED = {("AccountUpdate", "balance"), ("OrderUpdate", "filled_quantity")}

DIGITS = {
    (record.__name__, field.name)
    for record, table in TYPED.items()
    for field in table.columns
    if isinstance(field.type, ExactDecimal)
}


def read(frame: bytes) -> Decoded:
    """What a frame says, having made sure that the database can take it."""
    decoded = read_frame(FMEX, frame)
    check_text(decoded.topic)
    check_text(decoded.error)
    assert (decoded.status == UNDECODED) == (decoded.error is not None)
    assert (decoded.status == CONTROL) == (decoded.control is not None)
    assert (decoded.status == DECODED) == bool(decoded.updates)
    assert decoded.error is None or 0 < len(decoded.error) <= ERROR_CHARS_MAX
    for update in decoded.updates:
        columns = [c.name for c in TYPED[type(update)].columns if c.name not in TYPED_KEY]
        assert list(update._fields) == columns
        for name, value in update._asdict().items():
            if isinstance(value, int):
                assert -(2**63) <= value < 2**63
            else:
                check_text(value)
            if (type(update).__name__, name) in DIGITS and value is not None:
                assert Decimal(value).is_finite()
                if (type(update).__name__, name) not in COMPUTED:
                    assert value.removeprefix("-").encode() in frame
            elif name == "extra" and value is not None:
                json.loads(value, parse_int=str)
    return decoded


def check_text(value: str | None) -> None:
    assert "\0" not in (value or "").encode().decode()  # a lone surrogate cannot be encoded


def account(text: bytes) -> bytes:
    """A push of an account whose `available` is that JSON text."""
    return b'{"type":"account","account":{"currency":"BTC","available":%s},"ts":2}' % text


def order(rest: bytes) -> bytes:
    return b'{"type":"order.x","order":{%s},"ts":2}' % rest


def nested(depth: int, *, brackets: bytes = b"[]") -> bytes:
    return brackets[:1] * depth + brackets[1:] * depth


#: Frame, and what the error must say: the field, where there is one.
HOSTILE = {
    "empty": (b"", "truncated"),
    "only blanks": (b" \n", "truncated"),
    "cut": (sample("order")[:200], "truncated"),
    "cut in a number": (b'{"type":"hello","ts":15', "truncated"),
    "more after the end": (sample("hello") + b" x", "trailing"),
    "two frames in one": (sample("hello") * 2, "trailing"),
    "not JSON": (b"<html>502 Bad Gateway</html>", "malformed"),
    "BOM": (b"\xef\xbb\xbf" + sample("hello"), "malformed"),
    "UTF-16": (sample("hello").decode().encode("utf-16"), "malformed"),
    "null": (b"null", "object"),
    "a list": (b"[%s]" % sample("hello"), "array"),
    "a text": (b'"hello"', "str"),
    "a number": (b"41002", "int"),
    "an empty object": (b"{}", "type: missing"),
    "an unknown type": (b'{"type":"trade.btcusd_p","price":1}', "trade.btcusd_p"),
    "an endless unknown type": (b'{"type":"%s"}' % (b"x" * 100_000), "type"),
    "a type without its object": (b'{"type":"order.btcusd_p","ts":2}', "order.btcusd_p"),
    "an object that is null": (b'{"type":"account","account":null}', "account"),
    "an object without a type": (b'{"account":{"currency":"BTC"}}', "type: missing"),
    "a type that is a number": (b'{"type":7,"account":{"currency":"BTC"}}', "$.type"),
    "topics that are none": (b'{"type":"topics"}', "topics"),
    "topics that are numbers": (b'{"type":"topics","topics":[7]}', "$.topics[0]"),
    "no order id": (order(b'"price":1'), "`id`"),
    "no currency": (b'{"type":"account","account":{},"ts":2}', "`currency`"),
    "a position of nothing": (b'{"type":"position.x","position":{"symbol":null}}', "$.position.symbol"),
    "an order that is a list": (b'{"type":"order.x","order":[1]}', "$.order"),
    "an order id that is a text": (order(b'"id":"1"'), "$.order.id"),
    "an order id with a fraction": (order(b'"id":1.5'), "$.order.id"),
    "an order id of 2^63": (order(b'"id":9223372036854775808'), "$.order.id"),
    "an order id of -2^63 - 1": (order(b'"id":-9223372036854775809'), "$.order.id"),
    "an order id of 2^64": (order(b'"id":18446744073709551616'), "$.order.id"),
    "an order id of 5,000 digits": (order(b'"id":' + b"7" * 5_000), "$.order.id"),
    "a time of 1e999": (b'{"type":"hello","ts":1e999}', ""),
    "a status that is a number": (order(b'"id":1,"status":8'), "$.order.status"),
    "a price that is a text": (order(b'"id":1,"price":"10210"'), "order.price"),
    "a price that is true": (order(b'"id":1,"price":true'), "order.price"),
    "a price that is an object": (order(b'"id":1,"price":{"usd":1}'), "order.price"),
    "a fee that is a text of endless length": (order(b'"id":1,"fee":"%s"' % (b"9" * 100_000)), "order.fee"),
    "NaN": (account(b"NaN"), "malformed"),
    "Infinity": (account(b"Infinity"), "malformed"),
    "-Infinity": (account(b"-Infinity"), "malformed"),
    "1e999": (account(b"1e999"), "account.available"),
    "1e100": (account(b"1e100"), "account.available"),
    "1E-100": (account(b"1E-100"), "account.available"),
    "1e and 1,000 digits": (account(b"1e" + b"9" * 1_000), "account.available"),
    "5,000 digits": (account(b"9" * 5_000), "account.available"),
    "101 characters": (account(b"0." + b"3" * 99), "account.available"),
    "5,000 digits, and a key twice": (
        order(b'"id":1,"x":%s,"x":1' % (b"9" * 5_000)),
        "'x' comes twice",
    ),
    "01": (account(b"01"), "malformed"),
    "1.": (account(b"1."), "malformed"),
    ".5": (account(b".5"), "malformed"),
    "+1": (account(b"+1"), "malformed"),
    "0x1F": (account(b"0x1F"), "malformed"),
    "100,000 lists deep": (nested(100_000), ""),
    "100,000 objects deep": (b'{"a":' * 100_000, ""),
    "a price 100,000 deep": (order(b'"id":1,"price":' + nested(100_000)), ""),
    "an unknown field 100,000 deep": (order(b'"id":1,"new":' + nested(100_000)), ""),
    "a lone surrogate, escaped": (order(b'"id":1,"status":"\\ud800"'), "malformed"),
    "a lone surrogate in a known name": (b'{"type":"\\udfff","account":{"currency":"BTC"}}', "malformed"),
    "a lone surrogate in an unknown name": (order(b'"id":1,"\\ud800":1'), "malformed"),
    "a lone surrogate in a name that comes twice": (order(b'"id":1,"\\ud800":1,"\\ud800":2'), "malformed"),
    "a low surrogate in a name": (order(b'"id":1,"\\udc00":1'), "malformed"),
    "a name with NUL that comes twice": (order(b'"id":1,"\\u0000":1,"\\u0000":2'), "comes twice"),
    "a lone surrogate in an unknown text": (order(b'"id":1,"new":"\\ud800"'), "malformed"),
    "a lone surrogate, as bytes": (order(b'"id":1,"status":"\xed\xa0\x80"'), "utf-8"),
    "a lone surrogate in an unknown text, as bytes": (order(b'"id":1,"new":"\xed\xa0\x80"'), "utf-8"),
    "NUL in a type": (b'{"type":"account\\u0000","account":{"currency":"BTC"}}', "type: holds a NUL"),
    "NUL in an unknown type": (b'{"type":"\\u0000"}', "type"),
    "NUL in a text": (order(b'"id":1,"status":"A\\u0000B"'), "order.status: holds a NUL"),
    "NUL as a byte": (order(b'"id":1,"status":"A\0B"'), "malformed"),
    "NUL as a byte in an unknown text": (order(b'"id":1,"new":"A\0B"'), "malformed"),
    "NUL after the end": (sample("hello") + b"\0", "trailing"),
    "invalid UTF-8": (order(b'"id":1,"status":"\xff"'), "utf-8"),
    "invalid UTF-8 in an unknown name": (order(b'"id":1,"\xff":1'), "utf-8"),
    "invalid UTF-8 in an unknown text": (order(b'"id":1,"new":"\xff"'), "utf-8"),
    "invalid UTF-8 in an answer": (b'{"type":"hello","ts":1,"new":"\xff"}', "utf-8"),
    "invalid UTF-8 in a price": (order(b'"id":1,"price":"\xff"'), "utf-8"),
    "Latin-1": (order(b'"id":1,"status":"\xe4"'), "utf-8"),
    "UTF-8 longer than it need be": (order(b'"id":1,"status":"\xc0\x80"'), "utf-8"),
    "a key twice": (order(b'"id":1,"id":2'), "'id' comes twice"),
    "a status of no refusal": (b'{"id":"1","status":0}', "type"),
    "huge": (b'{"type":"order.x","order":{"id":1,"status":"%s' % (b"x" * 20_000_000), "truncated"),
}


@pytest.mark.parametrize(("frame", "words"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_frame_is_marked_and_never_raises(frame: bytes, words: str) -> None:
    decoded = read(frame)
    assert decoded.status == UNDECODED
    assert decoded.updates == ()
    assert decoded.control is None
    assert decoded.error is not None
    assert words.lower() in decoded.error.lower()


@pytest.mark.parametrize("name", PAGE)
@pytest.mark.parametrize("text", ['"1"', "1e999", "true", "[]", "{}", "9" * 101])
def test_the_error_names_the_field_whatever_it_is(name: str, text: str) -> None:
    for field in PAGE[name]:
        if holds_digits(name, field):
            assert f"{name}.{field}: " in (read(push(name, PAGE[name] | {field: text})).error or "")


@pytest.mark.parametrize("name", PAGE)
def test_nul_in_a_text_is_named_whatever_the_field(name: str) -> None:
    for field, text in PAGE[name].items():
        if text.startswith('"'):
            decoded = read(push(name, PAGE[name] | {field: '"\\u0000"'}))
            assert f"{name}.{field}: holds a NUL" in (decoded.error or "")


def test_what_is_strange_but_sound_is_decoded() -> None:
    for rest in (
        b'"id":9223372036854775807',
        b'"id":-9223372036854775808',
        b'"id":1,"status":"\\ud83d\\ude00 \xf0\x9f\x98\x80"',
        b'"id":1,"new":"\\u0000","\\u0000":"\\ud83d\\ude00"',
        b'"id":1,"new":%s' % nested(100),
        b'"id":1,"new":%s' % (b"9" * 5_000),
        b'"id":1,"status":"%s"' % (b"x" * 100_000),
        b'"id":1,"price":%s' % (b"9" * 100),
    ):
        assert read(order(rest)).status == DECODED, rest[:100]


def test_a_huge_sound_frame_is_decoded() -> None:
    text = "X" * 20_000_000
    (update,) = read(push("order", PAGE["order"] | {"status": f'"{text}"'})).updates
    assert update._asdict()["venue_status"] == text


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_raise(frame: bytes) -> None:
    read(frame)


any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["account", "order.x", "position.x", "topics", "ping", "hello"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(any_json)
def test_arbitrary_json_never_raises(value: object) -> None:
    read(json.dumps(value).encode())


@st.composite
def half_right(draw: st.DrawFn) -> dict[str, Any]:
    """A message with the page's names and now and then the wrong values."""
    message: dict[str, Any] = {"type": draw(st.just("order.x") | any_json), "ts": draw(st.none() | any_json)}
    for name, fields in PAGE.items():
        if draw(st.booleans()):
            inner = {field: json.loads(text) for field, text in fields.items()}
            for field in draw(st.sets(st.sampled_from(sorted(inner)), max_size=3)):
                inner[field] = draw(any_json)
            message[name] = inner | draw(st.dictionaries(st.text(max_size=5), any_json, max_size=2))
    return message | draw(st.dictionaries(st.sampled_from(["id", "topics", "gap", "status", "msg"]), any_json))


@given(half_right(), st.booleans())
@example({"type": "account", "account": {"currency": "\ud800"}}, True)
@example({"type": "account", "account": {"currency": "\0"}}, False)
def test_half_right_messages_never_raise(message: dict[str, Any], escaped: bool) -> None:
    read(json.dumps(message, ensure_ascii=escaped).encode(errors="surrogatepass"))


@given(st.sampled_from(sorted(PAGE)), st.data())
def test_a_frame_changed_anywhere_never_raises(name: str, data: st.DataObject) -> None:
    frame = bytearray(push(name, PAGE[name]))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(frame) - 1))
        cut = data.draw(st.integers(0, 5))
        frame[at : at + cut] = data.draw(st.binary(max_size=3) | st.sampled_from([b'"', b":", b"\\u0000"]))
    read(bytes(frame))


def test_a_good_frame_after_it_is_read_as_ever() -> None:
    for frame, _ in HOSTILE.values():
        read(frame)
        assert read(sample("order")).status == DECODED
