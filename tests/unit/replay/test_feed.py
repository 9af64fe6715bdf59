"""The feed of one client, also when the client has disconnected."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from recorder.read.replay.events import Event, FrameEvent
from recorder.replay import ReplayPace
from recorder.replay.serving.feed import ReplayFeed, ReplayPosition
from recorder.wire.client import PushClient

S = 1_000_000_000


class Taken:
    """A connection to a client that reads everything at once, or to one that has disconnected."""

    number = 1
    waiting_bytes = 0

    def __init__(self, *, is_open: bool) -> None:
        self.conversation = self
        self.topics_of = lambda _key: {"account"}
        self.pushed = lambda _key, _topic, payload: (payload,)
        self.payloads: list[bytes] = []
        self._is_open = is_open

    def write(self, payloads: Sequence[bytes]) -> bool:
        self.payloads += payloads
        return self._is_open


def frame(seq: int, at_ns: int) -> FrameEvent:
    return FrameEvent("main", 5, seq, at_ns, "push", b"%d" % seq, "account", (), None)


def test_everything_due_is_sent_before_a_wait_and_the_position_advances_during_it() -> None:
    line, moment = Taken(is_open=True), ReplayPosition(0, 10_000 * S, 1.0)
    events = iter([frame(1, 1_000 * S), frame(2, 1_000 * S), frame(3, 2_000 * S)])

    async def watch() -> tuple[int, int]:
        with ThreadPoolExecutor(1) as readers:
            feed = ReplayFeed(
                cast(PushClient, line), "main", events, ["account"], ReplayPace(1.0), moment, 1.0, readers, lambda: None
            )
            feeding = asyncio.create_task(feed.run())
            async with asyncio.timeout(10.0):
                while moment.now_ns(loop_s()) <= 1_000 * S:
                    await asyncio.sleep(0.01)
            between_ns = moment.now_ns(loop_s())
            feeding.cancel()
            return between_ns, feed.pushes

    def loop_s() -> float:
        return asyncio.get_running_loop().time()

    between_ns, pushes = asyncio.run(watch())
    assert line.payloads == [b"1", b"2"]
    assert pushes == 2
    assert 1_000 * S < between_ns < 1_020 * S


def test_a_finished_feed_releases_the_record() -> None:
    closed: list[bool] = []

    def events() -> Iterator[Event]:
        try:
            for seq in range(1_000):
                yield frame(seq, seq)
        finally:
            closed.append(True)

    with ThreadPoolExecutor(1) as readers:
        line = cast(PushClient, Taken(is_open=False))
        feed = ReplayFeed(
            line,
            "main",
            events(),
            ["account"],
            ReplayPace(None),
            ReplayPosition(0, 9, None),
            1.0,
            readers,
            lambda: None,
        )
        asyncio.run(feed.run())
    # Though somebody holds the feed: a broken connection does, with the traceback of what broke it.
    assert closed == [True]
    assert not feed.finished
