"""`recorder serve`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recorder.cli import options
from recorder.cli.progress import progress
from recorder.cli.stopping import Signals
from recorder.clock import utc_text
from recorder.errors import ConfigurationError
from recorder.live.wake import Wake

if TYPE_CHECKING:
    from recorder.replay.serving import Serving

#: More clients than this are counted, not listed.
CLIENTS_SHOWN_MAX = 4


@click.command(
    help="The record as an exchange: a push portal that speaks its venue's protocol and pushes the recorded frames "
    "again, verbatim, at their pace or another, and REST that answers as of the replayed instant. For bots that were "
    "written for the exchange, and for this recorder.\n\n"
    "Any number of clients, each with a replay of its own, from the beginning, that begins when it has subscribed. The "
    "key is the account's name; where several clients ask REST, tell them apart: main/1, main/2. A client may ask for "
    "another place or pace in the push portal's address: &since=2020-02-04T07:40&speed=10.\n\n"
    "\b\nExample:  recorder serve --since 2020-02-04 --speed 10 --max-wait 5s\n"
    "          recorder serve --account main --speed max --port 9020"
)
@options.database
@options.stretch
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=9020, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 for any free.")
@click.option(
    "--secret", default="replay-secret", show_default=True, help="Signs for every account; nothing real, it is shown."
)
@click.option("--speed", type=options.Speed(), default="1", show_default=True, help=options.SPEED_HELP)
@options.max_wait
@click.option("--all-sightings", is_flag=True, help="Also what several recorders saw of one push.")
@click.option(
    "--require-complete", is_flag=True, help="Refuse a stretch with gaps, list them, and end with exit code 1."
)
@click.option(
    "--ping-timeout",
    "ping_timeout_s",
    type=options.Duration(above_zero=True),
    default="30s",
    show_default=True,
    help="Disconnect a client that sent no ping for so long.",
)
@click.option(
    "--patience",
    "patience_s",
    type=options.Duration(above_zero=True),
    default="30s",
    show_default=True,
    help="Drop a client that takes nothing of what it is sent for so long.",
)
def serve(database: str | None, config: Path | None, **asked: Any) -> None:
    """Serve."""
    from recorder.replay.serving import Serving, ServingOptions  # noqa: PLC0415  it brings a web server along

    signals, wake = Signals(), Wake()
    accounts = asked.pop("accounts") or None
    told = ServingOptions(accounts=accounts, since_ns=asked.pop("since"), until_ns=asked.pop("until"), **asked)
    serving = Serving(options.database_url(database, config), told)
    with progress() as shown:
        try:
            _start(serving)
            signals.wakes(wake)
            keys = " or ".join(f"{name!r}" for name in serving.accounts)
            click.echo(f"The record, at {serving.url} (key {keys}, secret {told.secret!r}). Stop it with Ctrl-C.")
            while not wake.wait(shown.every_s):
                now = serving.shown()
                shown.show(now.frames, _line(now.clients))
        finally:
            serving.close()


def _start(serving: "Serving") -> None:
    try:
        serving.start()
    except OSError as error:
        told = serving.options
        raise ConfigurationError(
            f"The portal cannot be opened at {told.host}:{told.port}: {error.strerror}; look at --host and --port."
        ) from None


def _line(clients: tuple[tuple[int, str, int], ...]) -> str:
    """Who is where."""
    if not clients:
        return "nobody connected"
    listed = [
        f"{number} {account} at {utc_text(at_ns) if at_ns > 0 else 'the beginning'}"
        for number, account, at_ns in clients[:CLIENTS_SHOWN_MAX]
    ]
    more = f" and {len(clients) - CLIENTS_SHOWN_MAX} more" if len(clients) > CLIENTS_SHOWN_MAX else ""
    return f"{len(clients)} connected | {', '.join(listed)}{more}"
