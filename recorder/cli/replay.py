"""`recorder replay`."""

import base64
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import msgspec

from recorder.cli import options
from recorder.cli.progress import LIVE_S, LiveLine
from recorder.cli.stopping import Signals
from recorder.clock import utc_text
from recorder.live.wake import Wake
from recorder.model import PUSH, REPEATED
from recorder.read.replay.events import Event, FrameEvent, GapBegan, GapEnded, SessionBegan, SessionClosed, instant_ns
from recorder.read.replay.plan import SOURCES
from recorder.replay import ReplayClock

_NAMES: dict[type[Event], str] = {
    FrameEvent: "frame",
    SessionBegan: "session_began",
    SessionClosed: "session_ended",
    GapBegan: "gap_began",
    GapEnded: "gap_ended",
}

_encode = msgspec.json.Encoder().encode


class FrameName(options.Parsed[tuple[int, int]]):
    """The name of a frame: session and number, `SESSION:SEQ`."""

    name = "frame"

    def read(self, text: str) -> tuple[int, int]:
        """Read session and number."""
        session_id, colon, seq = text.partition(":")
        if not (colon and all(part.isascii() and part.isdigit() and len(part) < 20 for part in (session_id, seq))):
            raise ValueError(f"{text!r} is not a frame; write its session_id and seq, such as 1742000000000000000:41")
        return int(session_id), int(seq)


@click.command(
    help="Print the record as JSON lines, in its order: each frame as it was received, and the beginnings and ends of "
    "sessions and gaps. A payload that is not UTF-8 is printed as `payload_base64`.\n\n"
    "By default, the whole record is printed, up to the last frame there is now. A push that several recorders "
    "received is printed once, where the first of them received it.\n\n"
    "\b\nExample:  recorder replay --since 2020-02-04 --topic orders > orders.jsonl\n"
    "          recorder replay --speed 10 --max-wait 5s"
)
@options.record_address
@options.replayed(speed="max")
@click.option("--topic", "topics", multiple=True, help="Only this topic, such as orders. Can be given more than once.")
@click.option(
    "--source",
    "sources",
    multiple=True,
    default=(PUSH, REPEATED),
    show_default=True,
    type=click.Choice((*SOURCES, "all")),
    help="Frames of this source: pushes, pushes that repeat a state, REST answers, commands sent, snapshots. "
    "Can be given more than once.",
)
@click.option("--after", type=FrameName(), metavar="SESSION:SEQ", help="Begin after this frame.")
def replay(
    at: options.RecordAddress,
    topics: tuple[str, ...],
    sources: tuple[str, ...],
    speed: float | None,
    wait_s_max: float | None,
    **asked: Any,
) -> None:
    """Print the record."""
    signals, wake = Signals(), Wake()
    with at.opened() as record:
        events = record.replay(
            topics=topics or None,
            sources=SOURCES if "all" in sources else sources,
            **asked,
        )
        clock = ReplayClock(events, speed, wait_s_max=wait_s_max, since_ns=asked["since_ns"], wait=wake.wait)
        signals.wakes(wake)
        write, flushes = sys.stdout.buffer.write, speed is not None
        with _shown(clock) as paced:
            for event in paced:
                write(line(event))
                if flushes:  # a reader at the other end of a pipe wants it now
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
