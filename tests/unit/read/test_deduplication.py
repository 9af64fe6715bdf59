"""Each push once along the stream: what counts as the same, and what is held for it."""

from itertools import count

import msgspec
import pytest

from recorder.model import FillUpdate
from recorder.read.replay.events import FrameEvent
from recorder.read.replay.replaying import Deduplicator
from recorder.store.deduplication import APART_NS
from recorder.venues.reading import read_frame
from tests.samples import FMEX, sample

ORDER = b'{"type":"order.a","ts":%d,"order":{"id":%d,"unfilled_quantity":%d}}'

FILL = FillUpdate(**(dict.fromkeys(FillUpdate._fields) | {"is_snapshot": 0, "order_id": "1"}))  # type: ignore[arg-type]

_seqs = count()


def event(payload: bytes, at_ns: int = 0, *, account: str = "main", source: str = "push") -> FrameEvent:
    decoded = read_frame(FMEX, payload)
    more = None if decoded.status == "decoded" else decoded
    return FrameEvent(account, 1, next(_seqs), at_ns, source, payload, decoded.topic, decoded.updates, more)


def order(at_ns: int, number: int = 1, unfilled: int = 10, stamp: int = 0) -> FrameEvent:
    return event(ORDER % (stamp, number, unfilled), at_ns)


def test_another_recorders_sighting_is_none() -> None:
    once = Deduplicator()
    assert once.is_first_sighting(order(0), 1)
    assert not once.is_first_sighting(order(5, stamp=3), 2)  # the time of the push may differ by connection
    assert once.is_first_sighting(order(6, unfilled=9), 2)
    assert not once.is_first_sighting(order(7, unfilled=9), 1)
    assert once.is_first_sighting(order(8, number=2, unfilled=9), 1)


def test_what_one_recorder_saw_repeated_counts_as_often() -> None:
    once = Deduplicator()
    assert [once.is_first_sighting(order(at_ns), recorder) for at_ns, recorder in enumerate([1, 1, 2, 2, 2, 1])] == [
        True,
        True,
        False,
        False,
        True,
        False,
    ]


def test_too_far_apart_it_is_another_push() -> None:
    once = Deduplicator()
    assert once.is_first_sighting(order(0), 1)
    assert not once.is_first_sighting(order(APART_NS), 2)
    assert once.is_first_sighting(order(2 * APART_NS), 2)  # its second time for 2, while 1 saw it once
    assert once.is_first_sighting(order(3 * APART_NS + 1), 2)


def test_each_sighting_keeps_the_push_for_as_long_again() -> None:
    once = Deduplicator()
    sightings = [(1, 5), (2, 5 + APART_NS), (3, 5 + 2 * APART_NS), (4, 5 + 3 * APART_NS)]
    assert [once.is_first_sighting(order(at_ns), recorder) for recorder, at_ns in sightings] == [
        True,
        False,
        False,
        False,
    ]


def test_what_comes_between_makes_nobody_forget_too_early() -> None:
    once = Deduplicator()
    assert once.is_first_sighting(order(0), 1)
    assert once.is_first_sighting(order(APART_NS, number=2), 1)
    assert not once.is_first_sighting(order(APART_NS), 2)


@pytest.mark.parametrize("name", ["hello", "topics", "ping", "refused"])
def test_what_each_connection_is_told_for_itself_is_never_a_second_sighting(name: str) -> None:
    once = Deduplicator()
    assert all(once.is_first_sighting(event(sample(name)), recorder) for recorder in (1, 2, 1))
    assert all(once.is_first_sighting(event(ORDER % (1, 1, 1), source="rest"), recorder) for recorder in (1, 2))


def test_a_push_that_tells_more_than_states_is_never_a_second_sighting() -> None:
    once = Deduplicator()
    pushed = order(0)
    mixed = msgspec.structs.replace(pushed, updates=(*pushed.updates, FILL))
    assert once.is_first_sighting(mixed, 1)
    assert once.is_first_sighting(mixed, 2)


def test_what_cannot_be_decoded_is_the_same_by_its_bytes() -> None:
    once = Deduplicator()
    assert [
        once.is_first_sighting(event(payload), by) for payload, by in ((b"?", 1), (b"?", 2), (b"!", 2), (b"!", 1))
    ] == [
        True,
        False,
        True,
        False,
    ]


def test_accounts_have_nothing_to_do_with_each_other() -> None:
    once = Deduplicator()
    assert once.is_first_sighting(event(ORDER % (1, 1, 1)), 1)
    assert once.is_first_sighting(event(ORDER % (1, 1, 1), account="other"), 2)


def test_nothing_is_held_for_longer_than_it_matters() -> None:
    once = Deduplicator()
    for number in range(1000):
        once.is_first_sighting(order(number * APART_NS // 10, number), 1)
    assert len(once._bursts) <= 11
