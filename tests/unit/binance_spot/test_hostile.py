"""Frames that Binance should never send: each becomes a result that can be stored, and none raises."""

import json
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from recorder.model import UNDECODED, AccountUpdate, FillUpdate, OrderUpdate
from recorder.venues.binance_spot import answers
from tests.hostile import DIGITS, changed, check
from tests.unit.binance_spot.frames import asked, event, push, read, sample

EVENTS = ("executionReport", "outboundAccountPosition", "balanceUpdate", "listStatus", "externalLockUpdate")
ANSWERS = {
    "rest-account": answers.ACCOUNT,
    "rest-openOrders": answers.OPEN_ORDERS,
    "rest-myTrades": f"{answers.TRADES}?symbol=X&fromId=0&limit=1",
    "rest-exchangeInfo": answers.INSTRUMENTS,
}


REPORT = sample("executionReport")
PRICE = b'"p":"87000.00000000"'


def report(**given: object) -> bytes:
    return push(event("executionReport", **given))


#: Frame → what the error must say.
HOSTILE = {
    "empty": (b"", ""),
    "cut": (REPORT[:200], "truncated"),
    "more after the end": (REPORT + b" x", ""),
    "not JSON": (b"<html>502 Bad Gateway</html>", ""),
    "UTF-16": (REPORT.decode().encode("utf-16"), "malformed"),
    "null": (b"null", "frame: missing"),
    "a list": (b"[%s]" % REPORT, "is not an object"),
    "an empty object": (b"{}", "neither an event nor an answer"),
    "an event that is null": (push(None), "e: missing"),
    "an event that is a list": (push([1]), "event: "),
    "an event without a name": (push({"s": "X"}), "e: missing"),
    "an event's name that is a number": (push({"e": 5}), "e: 5 is not a text"),
    "no order id": (report(i=None), "i: missing"),
    "no symbol": (report(s=None), "s: missing"),
    "an empty symbol": (report(s=""), "s: missing"),
    "a balance of an empty asset": (push(event("outboundAccountPosition", B=[{"a": "", "f": "1"}])), "a: missing"),
    "an order id with a point": (report(i=1.5), "i: 1.5"),
    "an order id of 50 digits": (report(i=10**50), "i: "),
    "balances that are a text": (push(event("outboundAccountPosition", B="x")), "B: "),
    "a balance that is null": (push(event("outboundAccountPosition", B=[None])), "B: missing"),
    "a balance without an asset": (push(event("outboundAccountPosition", B=[{"f": "1"}])), "a: missing"),
    "a movement without an asset": (push(event("balanceUpdate", a=None)), "a: missing"),
    "a price in words": (REPORT.replace(PRICE, b'"p":"high"'), 'p: "high" is not a number'),
    "a price with a comma": (REPORT.replace(PRICE, b'"p":"87,000"'), "is not a number"),
    "a price in other digits": (REPORT.replace(PRICE, '"p":"\N{ARABIC-INDIC DIGIT ONE}"'.encode()), "is not a number"),
    "NaN as text": (REPORT.replace(PRICE, b'"p":"NaN"'), "is not a number"),
    "NaN": (REPORT.replace(PRICE, b'"p":NaN'), ""),
    "1e100": (REPORT.replace(PRICE, b'"p":"1e100"'), "p: 1e100 is out of range"),
    "1e999 as a number": (REPORT.replace(PRICE, b'"p":1e999'), "p: 1e999 is out of range"),
    "5,000 digits": (REPORT.replace(PRICE, b'"p":"%s"' % (b"9" * 5_000)), "out of range"),
    "a price that is true": (REPORT.replace(PRICE, b'"p":true'), "p: true"),
    "a price that is an object": (REPORT.replace(PRICE, b'"p":{"usd":1}'), "p: "),
    "a time in words": (report(T="noon"), 'T: "noon"'),
    "a time of 2^63": (report(T=2**63), "out of range"),
    "a flag in words": (report(m="perhaps"), "m: "),
    "NUL in a text": (report(s="A\0B"), "s: holds a NUL"),
    "a lone surrogate": (REPORT.replace(b"BTCUSDT", rb"\ud800"), ""),
    "a lone surrogate as bytes": (REPORT.replace(b"BTCUSDT", b"\xed\xa0\x80"), "utf-8"),
    "a key twice": (REPORT.replace(PRICE, PRICE + b"," + PRICE), "'p' comes twice"),
    "100,000 lists deep": (b"[" * 100_000 + b"]" * 100_000, ""),
    "an unknown field 100,000 deep": (REPORT.replace(PRICE, PRICE + b',"new":' + b"[" * 100_000), ""),
    "a code in words": (b'{"id":1,"status":400,"error":{"code":"x","msg":"y"}}', 'code: "x"'),
    "a clock in words": (b'{"id":1,"status":200,"result":{"serverTime":"now"}}', 'serverTime: "now"'),
}


@pytest.mark.parametrize(("frame", "says"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_frame_is_a_result(frame: bytes, says: str) -> None:
    decoded = check(read(frame))
    assert decoded.status == UNDECODED
    assert says.lower() in (decoded.error or "").lower()


@given(data=st.data(), name=st.sampled_from(EVENTS))
def test_no_push_raises(data: st.DataObject, name: str) -> None:
    fields = data.draw(changed(event(name)))
    if isinstance(fields.get("B"), list) and data.draw(st.booleans()):
        fields["B"] = [data.draw(changed(event(name)["B"][0]))] if name == "outboundAccountPosition" else []
    frame = push(fields)
    if data.draw(st.booleans()):
        frame = json.dumps(data.draw(changed(json.loads(frame)))).encode()
    check(read(frame))


@given(data=st.data(), name=st.sampled_from(sorted(ANSWERS)))
def test_no_answer_raises(data: st.DataObject, name: str) -> None:
    whole = json.loads(sample(name))
    whole = [data.draw(changed(one)) for one in whole] if isinstance(whole, list) else data.draw(changed(whole))
    check(asked(ANSWERS[name], json.dumps(whole).encode()))


@given(frame=st.binary() | st.text().map(str.encode))
def test_no_bytes_raise(frame: bytes) -> None:
    check(read(frame))
    for target in (answers.OPEN_ORDERS, answers.ACCOUNT):
        check(asked(target, frame))


@given(digits=DIGITS, is_text=st.booleans())
def test_random_digits_survive(digits: str, is_text: bool) -> None:
    assume(is_text or digits != "-0")  # a whole number, and as such it has no sign
    frame = report(**dict.fromkeys("qzLn", digits if is_text else "@"))
    order, *fills = read(frame if is_text else frame.replace(b'"@"', digits.encode())).updates
    assert isinstance(order, OrderUpdate)
    assert (order.quantity, order.filled_quantity) == (digits, digits)
    for fill in fills:
        assert isinstance(fill, FillUpdate)
        assert (fill.price, fill.fee) == (digits, digits)


@given(free=DIGITS, locked=DIGITS)
def test_computed_numbers_are_exact(free: str, locked: str) -> None:
    (balance,) = read(push(event("outboundAccountPosition", B=[{"a": "BTC", "f": free, "l": locked}]))).updates
    assert isinstance(balance, AccountUpdate)
    assert Fraction(balance.balance or 0) == Fraction(free) + Fraction(locked)
    order = read(report(Z=free, z=locked)).updates[0]
    assert isinstance(order, OrderUpdate)
    if order.average_price is not None:
        assert Fraction(order.average_price) * Fraction(locked) == Fraction(free)
