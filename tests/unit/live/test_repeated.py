"""Which pushes of a state that an exchange repeats are only repetitions."""

import json
from collections.abc import Iterable, Mapping

import pytest

from recorder.clock import Clock
from recorder.errors import SessionOver
from recorder.live.repeated import REPEATED_MAX_S, UNSETTLED_S, RepeatedTopics, Repetitions
from recorder.model import AccountUpdate, Decoded, OrderUpdate, PositionUpdate, State
from recorder.venues import venue_named
from recorder.venues.reading import read_frame

HYPERLIQUID = venue_named("hyperliquid")
USER = "0x5e11aa00000000000000000000000000000000a1"
PONG = {"channel": "pong"}
CANCELED = {"channel": "orderUpdates", "data": []}
#: Between two pushes of a state, seconds.
STEP_S = 5.0


def position(coin: str, size: str, pnl: str = "0.0") -> dict[str, object]:
    held = {"coin": coin, "szi": size, "entryPx": "100.0", "unrealizedPnl": pnl, "marginUsed": "10.0"}
    return {"type": "oneWay", "position": held | {"leverage": {"type": "cross", "value": 10}}}


def margins(at_ms: int, *positions: dict[str, object], dex: str = "") -> dict[str, object]:
    state = {"time": at_ms, "assetPositions": positions, "marginSummary": {"accountValue": "50.0"}}
    return {"channel": "allDexsClearinghouseState", "data": {"user": USER, "clearinghouseStates": [[dex, state]]}}


def orders(*placed: int, dex: str = "") -> dict[str, object]:
    rows = [
        {"coin": "BTC", "side": "B", "limitPx": "9.0", "sz": "1.0", "origSz": "1.0", "oid": one, "timestamp": 1}
        for one in placed
    ]
    return {"channel": "openOrders", "data": {"user": USER, "dex": dex, "orders": rows}}


class Listener:
    """Takes frames of a session, some time after each other."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.repetitions = Repetitions(HYPERLIQUID.repeated_topics, Clock(monotonic_s=lambda: self.now_s))

    def hears(self, frame: Mapping[str, object], after_s: float = STEP_S) -> bool:
        """Whether a frame that comes now is a repetition."""
        self.now_s += after_s
        decoded = read_frame(HYPERLIQUID, json.dumps(frame).encode())
        assert decoded.error is None
        return self.repetitions.is_one(decoded)

    def settles(self, frames: Iterable[Mapping[str, object]]) -> "Listener":
        """Hear them when nothing else was pushed for long enough, so that they may be repeated."""
        self.now_s += UNSETTLED_S
        for frame in frames:
            assert not self.hears(frame, 0.0)
        return self


def test_a_state_that_has_not_changed_is_a_repetition_whatever_its_time() -> None:
    listener = Listener().settles([margins(1, position("BTC", "1.0"))])
    assert [listener.hears(margins(2 + n, position("BTC", "1.0"))) for n in range(3)] == [True] * 3


@pytest.mark.parametrize(
    "other",
    [
        margins(2, position("BTC", "1.5")),
        margins(2, position("BTC", "1.0", pnl="0.1")),
        margins(2, position("ETH", "1.0")),
        margins(2, position("BTC", "1.0"), position("ETH", "1.0")),
        margins(2),
        margins(2, position("BTC", "1.0"), dex="xyz"),
        margins(2, position("BTC", "1.0") | {"new": 1}),
    ],
)
def test_anything_else_that_changes_is_none_and_is_repeated_from_then_on(other: dict[str, object]) -> None:
    listener = Listener().settles([margins(1, position("BTC", "1.0"))])
    assert [listener.hears(other), listener.hears(other)] == [False, True]
    assert not listener.hears(margins(3, position("BTC", "1.0")))


def test_each_topic_is_compared_with_itself_and_answers_to_pings_are_no_pushes() -> None:
    frames = margins(1, position("BTC", "1.0")), orders(5, 6), orders(7, dex="xyz"), orders(dex="flx")
    listener = Listener().settles(frames)
    for frame in (*frames, PONG, *frames):
        assert listener.hears(frame) is (frame is not PONG)


def test_after_another_push_or_an_answer_a_state_has_rows_until_it_is_settled() -> None:
    """Whatever that said of it is then older than the rows, even if it was late."""
    state = margins(1, position("BTC", "1.0"))
    listener = Listener().settles([state])
    for unsettle in (lambda: listener.hears(CANCELED, 0.0), listener.repetitions.unsettle):
        assert listener.hears(state)
        unsettle()
        steps = int(UNSETTLED_S / STEP_S)
        assert [listener.hears(state) for _ in range(steps + 2)] == [False] * steps + [True] * 2


def test_a_frame_that_cannot_be_read_may_have_said_anything() -> None:
    state = margins(1, position("BTC", "1.0"))
    listener = Listener().settles([state])
    assert not listener.repetitions.is_one(Decoded(None, "undecoded", "?"))
    assert not listener.hears(state)


def test_a_session_begins_unsettled() -> None:
    """A reconciliation asks for the same states."""
    listener = Listener()
    assert not any(listener.hears(margins(1, position("BTC", "1.0")), 0.0) for _ in range(3))


def test_a_state_that_does_not_change_has_rows_again_now_and_then() -> None:
    state = margins(1, position("BTC", "1.0"))
    listener = Listener().settles([state])
    assert listener.hears(state, REPEATED_MAX_S - 1)
    assert [listener.hears(state, 1.0), listener.hears(state)] == [False, True]


def test_what_is_compared_is_all_but_the_times() -> None:
    for record in (AccountUpdate, OrderUpdate, PositionUpdate):
        for name in record._fields:
            listener = Listener()
            listener.now_s += UNSETTLED_S
            values = [dict.fromkeys(record._fields, "1"), dict.fromkeys(record._fields, "1") | {name: "2"}]
            updates: list[State] = [record._make(one.values()) for one in values]
            first, second = (
                listener.repetitions.is_one(Decoded("spotState", "decoded", updates=(one,))) for one in updates
            )
            assert (first, second) == (False, name in {"event_ms", "updated_ms"}), name


@pytest.mark.parametrize("silent", [None, "openOrders:xyz", "spotState"])
def test_each_subscribed_topic_is_expected_by_its_own_name(silent: str | None) -> None:
    """The orders of the main exchange are not subscribed to; those of a builder's are."""
    subscribed = ["orderUpdates", "spotState", "openOrders:xyz"]
    clock = Clock(monotonic_s=lambda: 0.0)
    expected = RepeatedTopics(HYPERLIQUID.repeated_topics, clock)
    expected.begin(subscribed, 0.0)
    for now_s in (20.0, 40.0):
        for topic in subscribed:
            if topic != silent:
                expected.note(topic, now_s)
    if silent is None:
        expected.check(60.0)
        assert expected.due_s == 70.0
    else:
        with pytest.raises(SessionOver, match=f"nothing came for topic {silent} in 30 s"):
            expected.check(40.0)
