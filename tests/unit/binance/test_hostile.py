"""Frames that Binance should never send: each becomes a result that can be stored, and none raises."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.model import DECODED, UNDECODED
from recorder.venues.binance import answers
from tests.hostile import VALUES, check
from tests.unit.binance.frames import asked, changed, encoded, frame, read, row, sample

EVENTS = {"ORDER_TRADE_UPDATE": "o", "ACCOUNT_UPDATE": "a", "ALGO_UPDATE": "o"}
ANSWERS = {
    "rest-orders": answers.ORDERS,
    "rest-algo-orders": answers.ALGOS,
    "rest-trades": answers.FILLS,
    "rest-income": answers.INCOME,
    "rest-positions": answers.POSITIONS,
    "rest-balances": answers.BALANCES,
}


ORDER = sample("ORDER_TRADE_UPDATE")
PRICE = b'"p":"3010.5"'


def order(**fields: object) -> bytes:
    return changed("ORDER_TRADE_UPDATE", "o", **fields)


#: Frame → what the error must say.
HOSTILE = {
    "empty": (b"", ""),
    "cut": (ORDER[:200], "truncated"),
    "more after the end": (ORDER + b" x", ""),
    "not JSON": (b"<html>502 Bad Gateway</html>", ""),
    "UTF-16": (ORDER.decode().encode("utf-16"), ""),
    "null": (b"null", "frame"),
    "a list": (b"[%s]" % ORDER, "frame"),
    "an empty object": (b"{}", "event: missing"),
    "an event that is a list": (b'{"e":["ORDER_TRADE_UPDATE"]}', "e: "),
    "an event that nobody knows": (b'{"e":"kline","E":1}', "not one we know"),
    "no order": (b'{"e":"ORDER_TRADE_UPDATE","E":1,"T":2}', "o: missing"),
    "an order that is a text": (b'{"e":"ORDER_TRADE_UPDATE","E":1,"T":2,"o":"x"}', "o: "),
    "no order id": (order(i=None), "o.i: missing"),
    "an order id of 0": (order(i=0), "o.i: missing"),
    "an order id that is true": (order(i=True), "i: "),
    "no algo id": (changed("ALGO_UPDATE", "o", aid=None), "algo id: missing"),
    "no symbol of a position": (encoded({"e": "ACCOUNT_UPDATE", "a": {"P": [{"pa": "1"}]}}), "a.P.s: missing"),
    "an empty symbol": (encoded({"e": "ACCOUNT_UPDATE", "a": {"P": [{"s": "", "pa": "1"}]}}), "a.P.s: missing"),
    "an empty asset": (encoded({"e": "ACCOUNT_UPDATE", "a": {"B": [{"a": "", "wb": "1"}]}}), "a.B.a: missing"),
    "no asset": (encoded({"e": "ACCOUNT_UPDATE", "a": {"B": [{"wb": "1"}]}}), "a.B.a: missing"),
    "balances that are a text": (encoded({"e": "ACCOUNT_UPDATE", "a": {"B": "BTC"}}), "B: "),
    "a position that is null": (encoded({"e": "ACCOUNT_UPDATE", "a": {"P": [None]}}), "P: "),
    "a price in words": (order(p="high"), 'p: "high" is not a number'),
    "a price with a comma": (order(p="3,391"), 'p: "3,391" is not a number'),
    "a price with a blank": (order(p=" 1"), "is not a number"),
    "NaN as text": (order(p="NaN"), "is not a number"),
    "NaN": (ORDER.replace(PRICE, b'"p":NaN'), ""),
    "1e100": (order(p="1e100"), "p: 1e100 is out of range"),
    "1e999 as a number": (ORDER.replace(PRICE, b'"p":1e999'), "p: 1e999 is out of range"),
    "5,000 digits": (order(p="9" * 5_000), "out of range"),
    "a price that is true": (order(p=True), "p: true"),
    "a fee that is an object": (order(n={"USDT": "1"}), "n: "),
    "a time in words": (order(T="noon"), 'T: "noon"'),
    "a time of 2^63": (order(T=2**63), "out of range"),
    "a flag in words": (order(R="perhaps"), "R: "),
    "NUL in a text": (order(s="A\0B"), "s: holds a NUL"),
    "a lone surrogate": (ORDER.replace(b"ETHUSDT", rb"\ud800"), ""),
    "a lone surrogate as bytes": (ORDER.replace(b"ETHUSDT", b"\xed\xa0\x80"), "utf-8"),
    "a key twice": (ORDER.replace(PRICE, PRICE + b"," + PRICE), "'p' comes twice"),
    "100,000 lists deep": (b"[" * 100_000 + b"]" * 100_000, ""),
    "an unknown field 100,000 deep": (ORDER.replace(PRICE, PRICE + b',"new":' + b"[" * 100_000), ""),
    "an error code in words": (b'{"error":{"code":"two","msg":"x"}}', "code: "),
}


@pytest.mark.parametrize(("payload", "says"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_frame_is_a_result(payload: bytes, says: str) -> None:
    decoded = check(read(payload))
    assert decoded.status == UNDECODED
    assert says.lower() in (decoded.error or "").lower()


@pytest.mark.parametrize(
    "number", [8389765739811111111, "8389765739811111111", 2**63, "not-a-number-but-a-text", 10**39]
)
def test_an_order_id_is_a_text_whatever_it_is(number: object) -> None:
    decoded = check(read(order(i=number)))
    assert decoded.status == DECODED
    assert decoded.updates[0]._asdict()["order_id"] == str(number)


@given(st.data())
def test_any_value_in_any_field_of_an_event(data: st.DataObject) -> None:
    event = data.draw(st.sampled_from(sorted(EVENTS)))
    told: Any = frame(event)
    place = told[EVENTS[event]]
    if event == "ACCOUNT_UPDATE":
        place = data.draw(st.sampled_from([place, place["B"][0], place["P"][0]]))
    place[data.draw(st.sampled_from(sorted(place)) | st.text(max_size=5))] = data.draw(VALUES)
    check(read(json.dumps(told).encode("utf-8", "surrogatepass")))


@given(st.data())
def test_any_value_in_any_field_of_an_answer(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(ANSWERS)))
    told = row(name)
    told[data.draw(st.sampled_from(sorted(told)) | st.text(max_size=5))] = data.draw(VALUES)
    check(asked(f"{ANSWERS[name]}?limit=1", json.dumps([told]).encode("utf-8", "surrogatepass")))


@given(st.binary(max_size=200))
def test_any_bytes(payload: bytes) -> None:
    check(read(payload))
    check(asked(answers.ORDERS, payload))


@given(VALUES)
def test_any_json(value: object) -> None:
    payload = json.dumps(value).encode("utf-8", "surrogatepass")
    check(read(payload))
    for target in (*ANSWERS.values(), answers.INSTRUMENTS, answers.TIME):
        check(asked(target, payload))
