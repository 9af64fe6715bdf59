"""A replay into callbacks."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from recorder.read.replay.events import Event, FrameEvent


def deliver(events: Iterable[Event], callbacks: Mapping[type, Callable[..., Any]]) -> int:
    """Call what is registered for each event, and for each update that a frame tells, in the order of the record.

        deliver(record.replay(), {OrderUpdate: on_order, GapBegan: on_gap})

    Args:
        events: a replay's, or a `ReplayClock`'s.
        callbacks: type of an event → called with the event; type of an update → called with the update and its event.

    Returns:
        How many events there were.
    """
    count = 0
    for event in events:
        count += 1
        on_event = callbacks.get(type(event))
        if on_event is not None:
            on_event(event)
        if isinstance(event, FrameEvent):
            for update in event.updates:
                on_update = callbacks.get(type(update))
                if on_update is not None:
                    on_update(update, event)
    return count
