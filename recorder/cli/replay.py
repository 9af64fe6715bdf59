"""`recorder replay`."""

import base64
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from recorder.cli import options
from recorder.cli.progress import LIVE_S, LiveLine
from recorder.cli.stopping import Signals
from recorder.clock import utc_text
from recorder.live.wake import Wake
from recorder.model import PUSH
from recorder.read.replay.events import Event, FrameEvent, GapBegan, GapEnded, SessionBegan, SessionEnded, instant_ns
from recorder.replay import ReplayClock

_NAMES: dict[type[Event], str] = {
    FrameEvent: "frame",
    SessionBegan: "session_began",
    SessionEnded: "session_ended",
    GapBegan: "gap_began",
    GapEnded: "gap_ended",
}

_encode = msgspec.json.Encoder().encode


@click.command(
    help="The record again, as JSON lines: each frame as it was received, in the order of the record, and among them "
    "where sessions and gaps began and ended. A frame that is not UTF-8 is told as `payload_base64`.\n\n"
    "Without --since from the beginning, without --until to the last frame there is now. Of what several recorders saw "
    "of one push, the first sighting.\n\n"
    "\b\nExample:  recorder replay --since 2020-02-04 --topic order.btcusd_p > orders.jsonl\n"
    "          recorder replay --speed 10 --max-wait 5s"
)
@options.database
@options.replayed
@click.option("--topic", "topics", multiple=True, help="Only this topic, such as order.btcusd_p; repeat it for more.")
@click.option(
    "--source",
    "sources",
    multiple=True,
    default=(PUSH,),
    show_default=True,
    type=click.Choice(("push", "rest", "sent", "snapshot", "all")),
    help="Frames of this source: pushes, answers of REST, our own commands; repeat it for more.",
)
@click.option("--speed", type=options.Speed(), default="max", show_default=True, help=options.SPEED_HELP)
@options.max_wait
@click.option("--after", type=options.Frame(), metavar="SESSION:SEQ", help="Go on after this frame.")
@options.all_sightings
@options.require_complete
def replay(
    database: str | None,
    config: Path | None,
    topics: tuple[str, ...],
    sources: tuple[str, ...],
    speed: float | None,
    wait_s_max: float | None,
    **asked: Any,
) -> None:
    """Replay."""
    signals, wake, since_ns = Signals(), Wake(), asked["since"]
    with options.opened(database, config) as record:
        events = record.replay(
            topics=topics or None,
            sources=("push", "rest", "sent", "snapshot") if "all" in sources else sources,
            **options.replayed_of(asked),
            **asked,
        )
        clock = ReplayClock(events, speed, wait_s_max=wait_s_max, since_ns=since_ns, wait=wake.wait)
        signals.wakes(wake)
        write, flushes = sys.stdout.buffer.write, speed is not None
        with _shown(clock) as paced:
            for event in paced:
                write(line(event))
                if flushes:  # whoever reads along wants it now
                    sys.stdout.buffer.flush()
                if signals.received is not None:
                    break


def line(event: Event) -> bytes:
    """An event as a JSON object in one line."""
    fields: dict[str, Any] = {"event": _NAMES[type(event)]}
    if isinstance(event, FrameEvent):
        for name in ("account", "session_id", "seq", "received_ns", "source", "topic", "status", "error"):
            fields[name] = getattr(event, name)
        try:
            fields["payload"] = event.payload.decode()
        except UnicodeDecodeError:
            fields["payload_base64"] = base64.b64encode(event.payload).decode()
    else:
        fields |= msgspec.structs.asdict(event)
        if isinstance(event, GapBegan | GapEnded):
            fields["gap"] = event.gap._asdict()
    return _encode(fields) + b"\n"


@contextmanager
def _shown(clock: ReplayClock) -> Iterator[Iterator[Event]]:
    """The events, counted in a live line on a terminal, unless the events themselves go there."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield clock
        return
    with LiveLine() as live:
        yield _counted(clock, live)


def _counted(clock: ReplayClock, live: LiveLine) -> Iterator[Event]:
    shown_s = time.monotonic()
    for count, event in enumerate(clock, 1):
        yield event
        if count % 64 == 0 and time.monotonic() - shown_s > LIVE_S:
            shown_s = time.monotonic()
            live.write(f"{count:,} events, at {utc_text(instant_ns(event))} UTC")
