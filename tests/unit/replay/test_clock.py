"""Replays at a pace, stepped by another clock, and delivered to callbacks."""

from collections.abc import Callable, Iterator

from recorder.model import AccountUpdate, OrderUpdate
from recorder.read.records import Gap
from recorder.read.replay.events import Event, FrameEvent, GapBegan, GapEnded, SessionBegan
from recorder.replay import ReplayClock, deliver

S = 10**9
GAP = Gap("main", None, 2 * S, None, "beginning", None, "open", 1)
BALANCE = AccountUpdate._make([None] * len(AccountUpdate._fields))._replace(currency="BTC", available="1")


def frame(at_s: int, *updates: AccountUpdate) -> FrameEvent:
    return FrameEvent("main", 5, at_s, at_s * S, "push", b"", "account", updates, None)


def events() -> Iterator[Event]:
    yield GapBegan("main", None, GAP)
    yield GapEnded("main", 2 * S, GAP)
    yield from (frame(2), frame(3), frame(13, BALANCE, BALANCE), frame(14))


class Waiter:
    """A clock that moves only while somebody waits."""

    def __init__(self, ends_after: int | None = None) -> None:
        self.now_s = 1000.0
        self.waits: list[float] = []
        self._ends_after = ends_after

    def wait(self, wait_s: float) -> bool:
        self.waits.append(wait_s)
        self.now_s += wait_s
        return len(self.waits) == self._ends_after

    def clock(self, speed: float | None, wait_s_max: float | None = None) -> ReplayClock:
        return ReplayClock(events(), speed, wait_s_max=wait_s_max, monotonic_s=lambda: self.now_s, wait=self.wait)


def test_a_replay_takes_as_long_as_the_record() -> None:
    waiter = Waiter()
    given = [(event, waiter.now_s) for event in waiter.clock(2.0)]
    assert [event for event, _ in given] == list(events())
    assert [now_s for _, now_s in given] == [1000.0, 1000.0, 1000.0, 1000.5, 1005.5, 1006.0]
    assert waiter.waits == [0.5, 5.0, 0.5]


def test_waits_can_be_limited_or_skipped() -> None:
    waiter = Waiter()
    assert list(waiter.clock(1.0, wait_s_max=2.0)) == list(events())
    assert waiter.waits == [1.0, 2.0, 1.0]
    waiter = Waiter()
    assert list(waiter.clock(None)) == list(events())
    assert waiter.waits == []


def test_a_wait_can_end_the_replay_and_no_event_is_lost() -> None:
    waiter = Waiter(ends_after=2)
    clock = waiter.clock(1.0)
    assert list(clock) == list(events())[:4]
    assert list(clock) == list(events())[4:]


def test_a_backtest_can_step_the_replay() -> None:
    clock = ReplayClock(events())
    assert clock.now_ns is None
    told = list(events())
    assert list(clock.until(2 * S)) == told[:1]
    assert clock.now_ns == 2 * S
    assert list(clock.until(3 * S)) == told[1:3]
    assert list(clock.until(3 * S)) == []
    assert list(clock.until(13 * S)) == told[3:4]
    assert clock.now_ns == 13 * S
    assert list(clock.until(100 * S)) == told[4:]
    assert list(clock.until(200 * S)) == []
    assert clock.now_ns == 200 * S


def test_now_is_the_latest_instant_so_far() -> None:
    clock = Waiter().clock(1.0)
    assert [clock.now_ns for _ in clock] == [None, 2 * S, 2 * S, 3 * S, 13 * S, 14 * S]
    stepped = ReplayClock(events())
    assert [stepped.now_ns for _ in stepped.until(14 * S)] == [None, 2 * S, 2 * S, 3 * S, 13 * S]
    assert stepped.now_ns == 14 * S


def test_now_never_goes_back() -> None:
    # The clock was set back between two frames.
    clock = ReplayClock([frame(5), frame(3), frame(6)], None)
    assert [clock.now_ns for _ in clock] == [5 * S, 5 * S, 6 * S]
    assert list(clock.until(4 * S)) == []
    assert clock.now_ns == 6 * S


def test_an_unfinished_step_continues_later() -> None:
    clock = ReplayClock(events())
    for event in clock.until(100 * S):
        if event == frame(3):
            break
    assert list(clock.until(100 * S)) == list(events())[4:]


def test_callbacks_are_called_in_the_order_of_the_record() -> None:
    called: list[object] = []
    callbacks: dict[type, Callable[..., object]] = {
        AccountUpdate: lambda update, event: called.append((update, event.seq)),
        OrderUpdate: lambda update, event: called.append("never"),
        FrameEvent: lambda event: called.append(event.seq),
        GapBegan: lambda event: called.append(event.gap.reason),
    }
    assert deliver(events(), callbacks) == 6
    assert called == ["beginning", 2, 3, 13, (BALANCE, 13), (BALANCE, 13), 14]


def test_a_session_in_progress_at_the_start_causes_no_wait() -> None:
    waiter = Waiter()
    told: list[Event] = [SessionBegan("main", 5, 1 * S, 1, "", ()), frame(9_000), frame(9_001)]
    clock = ReplayClock(told, since_ns=8_999 * S, monotonic_s=lambda: waiter.now_s, wait=waiter.wait)
    assert list(clock) == told
    assert waiter.waits == [1.0, 1.0]
