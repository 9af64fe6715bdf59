"""The bounded way to the writer: order, limits, waking, and that nothing is ever dropped."""

import threading
import time
from threading import Event
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.live.channel import Channel, ChannelClosed, Recorded
from recorder.store.entries import LogEntry, RunEnded
from tests.made import received
from tests.unit.live.peer import PATIENCE_S

MANY = 2**40


def channel(frames_max: int = MANY, bytes_max: int = MANY) -> Channel:
    return Channel(Event(), frames_max, bytes_max)


def number_of(item: Recorded | LogEntry) -> int:
    """`seq` of a frame; of an event log entry, what it carries in its place."""
    assert isinstance(item, Recorded | RunEnded)
    return item.frame.seq if isinstance(item, Recorded) else item.ended_ns


def entry(number: int) -> RunEnded:
    return RunEnded(1, number, "")


def test_what_is_put_is_taken_in_its_order_with_the_entries_in_their_places() -> None:
    way = channel()
    way.put(received(1))
    way.put_entry(entry(2))
    way.put(received(3))
    assert not way.is_empty
    assert way.take(10, MANY) == [received(1), entry(2), received(3)]
    assert way.is_empty
    assert way.take(10, MANY) == []


def test_putting_and_telling_set_ready() -> None:
    ready = Event()
    way = Channel(ready, 1, 1)
    way.put(received(1))
    assert ready.is_set()
    ready.clear()
    way.put_entry(entry(1))
    assert ready.is_set()


def test_the_limit_in_frames() -> None:
    way = channel(frames_max=2)
    way.put(received(1))
    assert way.has_room()
    way.put(received(2))
    assert not way.has_room()
    assert len(way.take(1, MANY)) == 1
    assert way.has_room()


def test_the_limit_in_bytes() -> None:
    way = channel(bytes_max=100)
    way.put(received(1, b"x" * 99))
    assert way.has_room()
    way.put(received(2, b"x"))
    assert not way.has_room()
    way.take(1, MANY)
    assert way.has_room()


def test_entries_take_no_room() -> None:
    way = channel(frames_max=1)
    for number in range(10):
        way.put_entry(entry(number))
    assert way.has_room()


def test_what_is_put_beyond_the_limit_is_kept() -> None:
    way = channel(frames_max=1, bytes_max=1)
    for seq in range(5):
        way.put(received(seq))
    assert len(way.take(MANY, MANY)) == 5


def test_a_batch_has_limits_of_its_own() -> None:
    way = channel()
    for seq in range(5):
        way.put(received(seq, b"x" * 10))
    assert len(way.take(2, MANY)) == 2
    assert len(way.take(MANY, 11)) == 2
    assert len(way.take(MANY, 1)) == 1  # one frame at least, however large


def test_a_closed_channel_ends_the_wait() -> None:
    way = channel(frames_max=1)
    way.put(received(1))
    ended = Event()

    def wait() -> None:
        with pytest.raises(ChannelClosed):
            while not way.wait_for_room(10 * PATIENCE_S):
                pass
        ended.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    way.close()
    assert ended.wait(PATIENCE_S)
    waiter.join()
    with pytest.raises(ChannelClosed):
        way.wait_for_room(0)


def test_a_wait_for_room_waits() -> None:
    way = channel(frames_max=1)
    way.put(received(1))
    way.take(1, MANY)
    way.put(received(2))
    began_s = time.monotonic()
    # There was room once; there is none now.
    assert not way.wait_for_room(0.05)
    assert time.monotonic() - began_s >= 0.05


def test_taking_ends_the_wait_for_room() -> None:
    way = channel(frames_max=1)
    way.put(received(1))
    assert not way.wait_for_room(0)
    answers: list[bool] = []
    waiter = threading.Thread(target=lambda: answers.append(way.wait_for_room(PATIENCE_S)))
    waiter.start()
    way.take(1, MANY)
    waiter.join(PATIENCE_S / 2)  # long before the wait would be over by itself
    assert answers == [True]


class Step(NamedTuple):
    """What one of the two threads would do."""

    puts: int
    payload: int
    frames_max: int
    bytes_max: int


@given(
    st.lists(
        st.builds(Step, st.integers(0, 5), st.integers(0, 50), st.integers(1, 4), st.integers(1, 100)), max_size=30
    ),
    st.integers(1, 10),
    st.integers(1, 200),
)
def test_the_counters_are_what_waits(steps: list[Step], frames_max: int, bytes_max: int) -> None:
    way = channel(frames_max, bytes_max)
    waiting: list[Recorded] = []
    seq = 0
    for step in steps:
        for _ in range(step.puts):
            item = received(seq, b"x" * step.payload)
            way.put(item)
            waiting.append(item)
            seq += 1
        size = sum(len(item.frame.payload) for item in waiting)
        assert way.has_room() == (len(waiting) < frames_max and size < bytes_max)
        taken = way.take(step.frames_max, step.bytes_max)
        assert taken == waiting[: len(taken)]
        assert (len(taken) > 0) == (len(waiting) > 0)
        del waiting[: len(taken)]
    assert way.take(MANY, MANY) == waiting


@pytest.mark.parametrize(("frames_max", "bytes_max"), [(1, MANY), (7, MANY), (1000, MANY), (MANY, 100)])
def test_one_puts_and_one_takes_and_everything_arrives_once_and_in_order(frames_max: int, bytes_max: int) -> None:
    ready = Event()
    way = Channel(ready, frames_max, bytes_max)
    count, taken = 5_000, list[int]()
    most_waiting = 0

    def produce() -> None:
        for number in range(count):
            while not way.wait_for_room(PATIENCE_S):
                pass
            if number % 10:
                way.put(received(number, b"x" * (number % 60)))
            else:
                way.put_entry(entry(number))

    producer = threading.Thread(target=produce)
    producer.start()
    while len(taken) < count:
        assert ready.wait(PATIENCE_S), "nothing comes, and nobody says so"
        ready.clear()
        batch = way.take(3, 100)
        most_waiting = max(most_waiting, way.frames_in - way.frames_out)
        taken += map(number_of, batch)
        if not way.is_empty:
            ready.set()
    producer.join()
    assert taken == list(range(count))
    assert most_waiting <= frames_max + 1
    assert way.is_empty
