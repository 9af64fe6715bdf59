"""Many frames looked at together: what each says is what it says alone, or it is not told at all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.model import DECODED
from recorder.venues.reading import read_frame, read_plain
from tests.samples import FMEX, sample
from tests.unit.fmex.pushes import PAGE, push, pushes
from tests.unit.fmex.test_hostile import half_right

WHOLE = [push(name, fields) for name, fields in PAGE.items()]


def holds(frames: list[bytes]) -> None:
    """That all hold together what each does; whether anything is known of them or not."""
    alone = [read_frame(FMEX, frame) for frame in frames]
    decodable = all(decoded.status == DECODED for decoded in alone)
    for plain in (read_plain(FMEX, frames), read_plain(FMEX, frames, decodable=True) if decodable else None):
        if plain is not None:
            topics, updates = plain
            assert decodable
            assert list(topics) == [decoded.topic for decoded in alone]
            assert list(updates) == [decoded.updates for decoded in alone]
            assert [list(map(type, one)) for one in updates] == [list(map(type, one.updates)) for one in alone]


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """A frame of the page, changed somewhere."""
    frame = bytearray(draw(st.sampled_from(WHOLE)))
    at = draw(st.integers(0, len(frame) - 1))
    cut = draw(st.integers(0, 5))
    frame[at : at + cut] = draw(st.binary(max_size=3) | st.sampled_from([b'"', b":", b"null", b"1e200", b"\\u0062"]))
    return bytes(frame)


@st.composite
def several_objects(draw: st.DrawFn) -> bytes:
    """Some whole objects of the page in one frame, some of their fields null or a text."""
    names = draw(st.lists(st.sampled_from(sorted(PAGE)), min_size=1, max_size=3, unique=True))
    inner = {}
    for name in names:
        odd = draw(
            st.dictionaries(st.sampled_from(sorted(PAGE[name])), st.sampled_from(["null", '"1"', "true"]), max_size=1)
        )
        inner[name] = "{" + ",".join(f'"{field}":{text}' for field, text in (PAGE[name] | odd).items()) + "}"
    return f'{{"type":"x","ts":5,{",".join(f"{json.dumps(name)}:{text}" for name, text in inner.items())}}}'.encode()


half = half_right().map(lambda message: json.dumps(message).encode())
written = pushes().map(lambda one: one[2])


@given(st.lists(st.sampled_from(WHOLE) | written | changed() | several_objects() | half, min_size=1, max_size=4))
def test_together_as_alone(frames: list[bytes]) -> None:
    holds(frames)


@pytest.mark.parametrize("decodable", [False, True])
def test_what_the_page_shows_is_read_together(decodable: bool) -> None:
    frames = WHOLE * 3
    plain = read_plain(FMEX, frames, decodable=decodable)
    assert plain is not None
    assert list(plain[1]) == [read_frame(FMEX, frame).updates for frame in frames]


@pytest.mark.parametrize("decodable", [False, True])
@pytest.mark.parametrize("name", ["hello", "topics", "ping"])
def test_what_is_no_push_is_not(name: str, decodable: bool) -> None:
    assert read_plain(FMEX, [*WHOLE, sample(name)], decodable=decodable) is None


def test_two_objects_in_one_push_are_not() -> None:
    order, account = (WHOLE[list(PAGE).index(name)] for name in ("order", "account"))
    both = order[:-1] + b"," + account[account.index(b'"account":{') :].partition(b'},"ts"')[0] + b"}}"
    assert len(read_frame(FMEX, both).updates) == 2
    for decodable in (False, True):
        assert read_plain(FMEX, [both], decodable=decodable) is None
