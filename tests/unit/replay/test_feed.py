"""One client's replay on its way, and what comes of it when the client has gone."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from recorder.read.events import Event, FrameEvent
from recorder.replay import Pace
from recorder.replay.serving.feed import Feed
from recorder.replay.serving.moment import Moment
from recorder.wire.line import Line


class Gone:
    """The line of a client that has gone."""

    number = 1

    def __init__(self) -> None:
        self.conversation = self
        self.topics = {"account"}

    def write(self, _payloads: Sequence[bytes]) -> bool:
        return False


def test_a_feed_that_is_over_holds_nothing_of_the_record() -> None:
    closed: list[bool] = []

    def events() -> Iterator[Event]:
        try:
            for seq in range(1_000):
                yield FrameEvent("main", 5, seq, seq, "push", b"{}", "account", (), None)
        finally:
            closed.append(True)

    with ThreadPoolExecutor(1) as readers:
        line = cast(Line, Gone())
        feed = Feed(line, events(), ["account"], Pace(None), Moment(0, 9, None), 1.0, readers, lambda: None)
        asyncio.run(feed.run())
    # Though somebody holds the feed: a broken connection does, with the traceback of what broke it.
    assert closed == [True]
    assert not feed.finished
