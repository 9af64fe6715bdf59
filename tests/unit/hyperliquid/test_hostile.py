"""Frames that no exchange should send: each becomes a result that can be stored, and none raises."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.model import DECODED, UNDECODED, Decoded
from recorder.venues.reading import read_answer, read_frame
from tests.hostile import VALUES, check
from tests.samples import HYPERLIQUID, sample, sample_lines, sample_names
from tests.unit.hyperliquid.test_rest import REQUESTS, target

PUSHES = [json.loads(frame) for frame in sample_lines("hyperliquid/pushes.jsonl")]
ANSWERS = {name: json.loads(sample(f"answers/{name}", "hyperliquid")) for name in REQUESTS}


def read(frame: bytes) -> Decoded:
    return check(read_frame(HYPERLIQUID, frame))


def fill(text: bytes) -> bytes:
    return b'{"channel":"userFills","data":{"user":"0x1","fills":[{%s}]}}' % text


def spot(text: bytes) -> bytes:
    return b'{"channel":"spotState","data":{"user":"0x1","spotState":{"balances":[{%s}]}}}' % text


HOSTILE = {
    "empty": (b"", "truncated"),
    "another text": (b"Websocket connection lost.", "malformed"),
    "cut": (sample("userFills", "hyperliquid")[:200], "truncated"),
    "two frames in one": (b'{"channel":"pong"}{"channel":"pong"}', "trailing"),
    "a list": (b"[]", "frame"),
    "an empty object": (b"{}", "channel: missing"),
    "a channel that is a number": (b'{"channel":1}', "channel: 1 is not a text"),
    "an unknown channel": (b'{"channel":"tides","data":1}', "channel: 'tides' is not one we know"),
    "no data": (b'{"channel":"userFills"}', "data: missing"),
    "data that is a list": (b'{"channel":"userFills","data":[]}', "data: [] is not an object"),
    "data that is an object": (b'{"channel":"orderUpdates","data":{}}', "data: {} is not a list"),
    "no fills": (b'{"channel":"userFills","data":{}}', "fills: missing"),
    "a fill that is a number": (b'{"channel":"userFills","data":{"fills":[7]}}', "fills: 7 is not an object"),
    "no order": (b'{"channel":"orderUpdates","data":[{"status":"open"}]}', "order: missing"),
    "no order id": (b'{"channel":"orderUpdates","data":[{"order":{}}]}', "oid: missing"),
    "an empty coin of a balance": (spot(b'"coin":"","total":"1"'), "coin: missing"),
    "no coin of a balance": (spot(b'"total":"1"'), "coin: missing"),
    "an order id with a fraction": (b'{"channel":"orderUpdates","data":[{"order":{"oid":1.5}}]}', "oid: 1.5"),
    "a pair that is none": (b'{"channel":"allDexsClearinghouseState","data":{"clearinghouseStates":[[""]]}}', "pairs"),
    "a price of true": (fill(b'"px":true'), "px: true is not a number"),
    "a price of words": (fill(b'"px":"12,5"'), 'px: "12,5" is not a number'),
    "a price of Unicode digits": (fill('"px":"١٢"'.encode()), "is not a number"),
    "a price of NaN": (fill(b'"px":"NaN"'), "is not a number"),
    "a price of 1e100": (fill(b'"px":"1e100"'), "px: "),
    "a price of -1e100, as a number": (fill(b'"px":-1e100'), "px: -1e100 is out of range"),
    "a price of 101 characters": (fill(b'"px":"0.%s"' % (b"3" * 99)), "px: "),
    "a price of 5,000 digits": (fill(b'"px":%s' % (b"9" * 5000)), ""),
    "a time of 2^63": (fill(b'"time":9223372036854775808'), "time: 9223372036854775808 is out of range"),
    "a time with a fraction": (fill(b'"time":1.5'), "time: 1.5 is not a whole number"),
    "a flag of 1": (fill(b'"crossed":1'), "crossed: 1 is not true or false"),
    "a NUL": (fill(b'"coin":"A\\u0000"'), "coin: holds a NUL"),
    "a lone surrogate": (fill(b'"coin":"\\ud800"'), "data"),
    "invalid UTF-8": (fill(b'"new":"\xff"'), "utf-8"),
    "a name twice": (fill(b'"tid":1,"tid":2'), "'tid' comes twice"),
    "a name twice, with blanks": (fill(b'"tid":1, "tid" :2'), "'tid' comes twice"),
    "an escaped name twice": (fill(b'"tid":1,"\\u0074id":2'), "'tid' comes twice"),
    "a name twice, hidden by an escaped quote": (fill(b'"x":"\\u0022:","tid":1,"tid":2'), "'tid' comes twice"),
    "an unknown name twice": (b'{"channel":"pong","x":{"a":1,"a":1}}', "'a' comes twice"),
    "100,000 lists deep": (b"[" * 100_000 + b"]" * 100_000, ""),
}


@pytest.mark.parametrize(("frame", "words"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_frame_is_marked_and_never_raises(frame: bytes, words: str) -> None:
    decoded = read(frame)
    assert (decoded.status, decoded.updates) == (UNDECODED, ())
    assert words.lower() in (decoded.error or "").lower()


def test_what_is_strange_but_sound_is_decoded() -> None:
    for text in (
        b"",
        b'"coin":null,"px":"","time":null',
        b'"px":"007.50"',
        b'"time":"1795800000123"',
        b'"px":1e-99',
        b'"coin":":","x":"a\\":b"',
        b'"new":"\\u0000","\\u0000":1',
        b'"new":%s' % (b"[" * 100 + b"]" * 100),
    ):
        assert read(fill(text)).status == DECODED, text


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise(frame: bytes) -> None:
    read(frame)
    for kind in ("userFills", "spotMeta"):
        check(read_answer(HYPERLIQUID, target(kind), frame))


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where a value is, and everything inside it."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, one in inside for place in places(one, (*at, key)))]


def changed(value: Any, place: tuple[Any, ...], new: Any, *, remove: bool) -> Any:
    """A copy with another value at a place, or with nothing there."""
    if not place:
        return new
    copied = value.copy()
    if remove and len(place) == 1:
        del copied[place[0]]
    else:
        copied[place[0]] = changed(value[place[0]], place[1:], new, remove=remove)
    return copied


@given(st.data(), VALUES, st.booleans(), st.booleans())
def test_a_frame_with_anything_anywhere_never_raises(data: st.DataObject, new: Any, remove: bool, escape: bool) -> None:
    frame = data.draw(st.sampled_from(PUSHES))
    place = data.draw(st.sampled_from(places(frame)))
    read(json.dumps(changed(frame, place, new, remove=remove), ensure_ascii=escape).encode(errors="surrogatepass"))


@given(st.data(), VALUES, st.booleans())
def test_an_answer_with_anything_anywhere_never_raises(data: st.DataObject, new: Any, remove: bool) -> None:
    kind = data.draw(st.sampled_from(sorted(ANSWERS)))
    place = data.draw(st.sampled_from(places(ANSWERS[kind])))
    body = json.dumps(changed(ANSWERS[kind], place, new, remove=remove)).encode()
    check(read_answer(HYPERLIQUID, target(kind), body))


def test_a_missing_field_costs_only_its_column() -> None:
    """Of a row, every field but its key may be missing."""
    keys = {"oid", "coin", "order", "position", "type", "delta", "fill", "name"}
    for frame in PUSHES:
        for place in places(frame):
            if len(place) > 3 and isinstance(place[-1], str) and place[-1] not in keys:
                removed = changed(frame, place, None, remove=True)
                decoded = read(json.dumps(removed).encode())
                assert decoded.status != UNDECODED or "missing" in str(decoded.error), (place, decoded.error)


def test_every_sample_is_looked_at() -> None:
    assert len(PUSHES) > 30 and len(sample_names("hyperliquid")) == 6
