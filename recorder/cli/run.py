"""`recorder run`."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click

from recorder.cli import options
from recorder.cli.progress import Progress, progress, quiet_option
from recorder.cli.stopping import Signals
from recorder.config_file import EXAMPLE
from recorder.live.garbage import rare_collection
from recorder.live.recording import Recording, RunState
from recorder.live.watermark import AckFile, Watermark
from recorder.store.engine import database_path, place
from recorder.store.journal import OPENING

log = logging.getLogger("recorder.run")

#: How often a run checks whether it has been idle for long enough, seconds.
IDLE_CHECK_S = 0.1


class Until(NamedTuple):
    """When a run ends by itself; None for never."""

    for_s: float | None = None
    idle_s: float | None = None


@click.command(
    help="Record what the exchange pushes, until SIGTERM or SIGINT, for a fixed time, or until no push has arrived for "
    "a while. Everything received is committed before it ends.\n\n"
    "\b\nExample:  recorder run --config recorder.toml\n"
    "From cron:  recorder run --quiet --stop-when-idle 10m\n\n"
    "\b\nA configuration:\n\n\b\n" + EXAMPLE.replace("\n\n", "\n\n\b\n")
)
@options.record_address
@click.option("--for", "for_s", type=options.Duration(), help="Stop after this time, such as 30s, 5m or 1h30m.")
@click.option(
    "--stop-when-idle", "idle_s", type=options.Duration(), help="Stop when no push has arrived for this time."
)
@quiet_option
@options.file(
    "--ack-file", "ack_file", "After each commit, write the last durable frame of each account to this JSON file."
)
def run(
    at: options.RecordAddress,
    for_s: float | None,
    idle_s: float | None,
    quiet: bool,
    ack_file: Path | None,
) -> None:
    """Record."""
    signals = Signals()
    settings, to = at.configured()
    names = {account.account_id: account.name for account in settings.accounts}
    ack = AckFile(ack_file, names, database_path(to.journal)) if ack_file else None
    on_durable = _acknowledge(ack) if ack else _ignore
    with progress(quiet=quiet) as shown:
        recording = Recording(
            to.journal,
            settings.accounts,
            settings.limits,
            on_durable=on_durable,
            server=to.server,
            checkpoints=settings.checkpoints,
        )
        with recording:
            log.info("recording %s into %s", ", ".join(names.values()), place(to.url))
            with rare_collection():
                record_until(recording, Until(for_s, idle_s), signals, shown)
        state = recording.state()
        log.info("stopped (%s): %s frames, all durable", recording.end_reason, f"{state.frames_durable:,}")
        if state.frames_to_send:
            log.warning(
                "%s frames are in the journal and not on the server yet: the next run sends them, or type: "
                "recorder merge %s DATABASE",
                f"{state.frames_to_send:,}",
                place(to.journal),
            )


def record_until(recording: Recording, until: Until, signals: Signals, shown: Progress) -> None:
    """Wait until a signal arrives, a thread ends or `until` is reached; set the recording's `end_reason`."""
    signals.wakes(recording.wake)
    began_s = shown_s = time.monotonic()
    while True:
        now_s = time.monotonic()
        next_s = [shown_s + shown.every_s - now_s]
        if until.for_s is not None:
            next_s.append(began_s + until.for_s - now_s)
        if until.idle_s is not None:
            next_s.append(max(until.idle_s - recording.idle_s(), IDLE_CHECK_S))
        if signals.received is not None or recording.wait(min(next_s)):
            recording.end_reason = signals.received or "ended by itself"
            break
        now_s = time.monotonic()
        if until.for_s is not None and now_s - began_s >= until.for_s:
            recording.end_reason = "time is over"
            break
        if until.idle_s is not None and recording.idle_s() >= until.idle_s:
            recording.end_reason = "idle"
            break
        if now_s - shown_s >= shown.every_s:
            shown_s = now_s
            state = recording.state()
            shown.show(state.frames, summary(state))
    log.info("stopping (%s): making durable what has been received", recording.end_reason)


def summary(state: RunState) -> str:
    """The state of a run in one line."""
    sessions = ", ".join(f"{name} {doing}" for name, doing in state.sessions.items())
    behind = f"{state.frames_waiting:,} waiting, {state.lag_ms} ms behind" if state.frames_waiting else "all durable"
    found = f", {state.discrepancies:,} discrepancies" if state.discrepancies else ""
    server = f" | server {state.server}" if state.server else ""
    if state.frames_to_send:
        server += f", {state.frames_to_send:,} behind"
    return f"{behind}{found} | {sessions}{server}"


def _acknowledge(file: AckFile) -> Callable[[Watermark], None]:
    has_failed = False

    def tell(watermark: Watermark) -> None:
        nonlocal has_failed
        if watermark.batch == OPENING:
            file.begin()
            return
        try:
            file.write(watermark)
        except OSError as error:
            # The file is then behind the last durable frame, which harms nobody: recording goes on.
            if not has_failed:
                log.error("the ack file cannot be written: %s; recording goes on", error.strerror)
            has_failed = True

    return tell


def _ignore(_watermark: Watermark) -> None:
    pass
