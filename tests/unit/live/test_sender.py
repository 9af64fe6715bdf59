"""Senders: the newest note goes out, whatever hangs and whatever fails, and nobody waits for it."""

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from recorder.clock import Clock
from recorder.errors import NotDelivered
from recorder.live.sender import Sender
from tests.unit.live.peer import PATIENCE_S


class Place:
    """A way that does what a test tells it to."""

    def __init__(self) -> None:
        self.place = "THERE"
        self.arrived: list[str] = []
        #: Before a note arrives.
        self.on_send: Callable[[], None] = lambda: None
        self.begun = threading.Event()
        self.abandoned = threading.Event()

    def send(self, note: str) -> None:
        self.begun.set()
        self.on_send()
        self.arrived.append(note)

    def abandon(self) -> None:
        self.abandoned.set()

    def hang(self) -> None:
        assert self.abandoned.wait(PATIENCE_S)
        raise NotDelivered("THERE was abandoned.")


def fail() -> None:
    raise NotDelivered("THERE is not there.")


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def sender(place: Place) -> Iterator[Sender]:
    sender = Sender(place, Clock())
    sender.start()
    yield sender
    sender.finish(PATIENCE_S)
    sender.join(PATIENCE_S)
    assert not sender.is_alive()


def settle(sender: Sender) -> None:
    assert sender._settled.wait(PATIENCE_S)


def test_each_note_goes_out(place: Place, sender: Sender) -> None:
    for note in ("one", "two"):
        sender.send(note)
        settle(sender)
    assert place.arrived == ["one", "two"]
    assert not sender.failing


def test_the_last_one_is_waited_for(place: Place, sender: Sender) -> None:
    here = threading.Event()
    place.on_send = lambda: assert_(here.wait(PATIENCE_S))
    sender.send("one")
    threading.Timer(0.05, here.set).start()
    sender.finish(PATIENCE_S)
    assert place.arrived == ["one"]


def test_the_last_one_behind_another_is_waited_for_too(place: Place, sender: Sender) -> None:
    given_up: list[bool] = []

    def slowly() -> None:
        given_up.append(place.abandoned.wait(0.1))

    place.on_send = slowly
    sender.send("one")
    assert place.begun.wait(PATIENCE_S)
    sender.send("two")
    sender.finish(PATIENCE_S)
    assert place.arrived == ["one", "two"]
    assert given_up == [False, False]


def assert_(truth: bool) -> None:
    assert truth


def test_only_the_newest_waits_behind_one_that_hangs(
    place: Place, sender: Sender, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.live.sender.HANGS_S", 0.0)
    here = threading.Event()
    place.on_send = lambda: assert_(here.wait(PATIENCE_S))
    for note in ("one", "two", "three"):
        sender.send(note)
        assert place.begun.wait(PATIENCE_S)
    assert caplog.messages == ["THERE has not taken the last checkpoint yet: it hangs"], "once"
    here.set()
    settle(sender)
    assert place.arrived == ["one", "three"]


def test_what_takes_a_while_does_not_hang(place: Place, sender: Sender, caplog: pytest.LogCaptureFixture) -> None:
    """A run that is stopped right after its beginning has two notes one after the other."""
    here = threading.Event()
    place.on_send = lambda: assert_(here.wait(PATIENCE_S))
    sender.send("one")
    assert place.begun.wait(PATIENCE_S)
    sender.send("two")
    here.set()
    settle(sender)
    assert place.arrived == ["one", "two"]
    assert not caplog.messages


def test_what_fails_is_told_once_for_each_outage(
    place: Place, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    failed = "A checkpoint could not be sent: THERE is not there. Trying again at the next interval."
    place.on_send = fail
    for note in ("one", "two"):
        sender.send(note)
        settle(sender)
        assert sender.failing
    assert caplog.messages == [failed]
    place.on_send = lambda: None
    sender.send("three")
    settle(sender)
    assert place.arrived == ["three"]
    assert not sender.failing
    assert caplog.messages == [failed, "THERE takes checkpoints again"]
    place.on_send = fail
    sender.send("four")
    settle(sender)
    assert caplog.messages[2:] == [failed]


def test_a_fault_of_ours_ends_nothing(place: Place, sender: Sender, caplog: pytest.LogCaptureFixture) -> None:
    place.on_send = lambda: assert_(False)
    sender.send("one")
    settle(sender)
    assert sender.failing
    assert caplog.messages == ["A checkpoint could not be sent to THERE: recorder has a bug"]
    place.on_send = lambda: None
    sender.send("two")
    settle(sender)
    assert place.arrived == ["two"]


def test_one_that_hangs_at_the_end_is_given_up(place: Place, sender: Sender, caplog: pytest.LogCaptureFixture) -> None:
    place.on_send = place.hang
    sender.send("one")
    assert place.begun.wait(PATIENCE_S)
    sender.finish(0.05)
    sender.join(PATIENCE_S)
    assert place.abandoned.is_set()
    assert caplog.messages == ["THERE has not taken the last checkpoint in time: the next run brings a newer one"]
