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
from recorder.model import host_port

if TYPE_CHECKING:
    from recorder.replay.serving import Serving

#: Connected clients listed in the live line; more are only counted.
CLIENTS_SHOWN_MAX = 4


@click.command(
    help="Serve the record as its exchange: a push portal that sends the recorded frames again, verbatim, and REST "
    "that answers as of the replayed time. Bots written for the exchange can connect, and so can Recorder. Market data "
    "is not served, and orders are refused.\n\n"
    "Each client gets a replay of its own, which starts once it has subscribed. The API key is the account's name; "
    "clients of one account that use REST must differ in their keys: main/1, main/2. A client can choose its own start "
    "and pace in the push portal's address: &since=2020-02-04T07:40&speed=10.\n\n"
    "\b\nExample:  recorder serve --since 2020-02-04 --speed 10 --max-wait 5s\n"
    "          recorder serve --account main --speed max --port 9020"
)
@options.database
@options.replayed
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=9020,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 for any free one.",
)
@click.option(
    "--secret",
    default="replay-secret",
    show_default=True,
    help="API secret of every account. It is printed: do not use a real one.",
)
@click.option("--speed", type=options.Speed(), default="1", show_default=True, help=options.SPEED_HELP)
@options.max_wait
@options.all_sightings
@options.require_complete
@click.option(
    "--ping-timeout",
    "ping_timeout_s",
    type=options.Duration(above_zero=True),
    default="30s",
    show_default=True,
    help="Disconnect a client that has sent no ping for this long.",
)
@click.option(
    "--patience",
    "patience_s",
    type=options.Duration(above_zero=True),
    default="30s",
    show_default=True,
    help="Disconnect a client that has read nothing for this long.",
)
def serve(database: str | None, config: Path | None, **asked: Any) -> None:
    """Serve the record until a signal arrives."""
    from recorder.replay.serving import Serving, ServingOptions  # noqa: PLC0415  loads a web server

    signals, wake = Signals(), Wake()
    accounts = asked.pop("accounts") or None
    served = ServingOptions(accounts=accounts, since_ns=asked.pop("since"), until_ns=asked.pop("until"), **asked)
    serving = Serving(options.database_url(database, config), served)
    with progress() as shown:
        try:
            _start(serving)
            signals.wakes(wake)
            keys = " or ".join(f"{name!r}" for name in serving.accounts)
            click.echo(
                f"Serving the record at {serving.url} (key {keys}, secret {served.secret!r}). Stop it with Ctrl-C."
            )
            while not wake.wait(shown.every_s):
                now = serving.status()
                shown.show(now.frames, _line(now.clients))
        finally:
            serving.close()


def _start(serving: "Serving") -> None:
    try:
        serving.start()
    except OSError as error:
        host, port = serving.options.host, serving.options.port
        raise ConfigurationError(
            f"The server cannot start on {host_port(host, port)}: {error.strerror}; check --host and --port."
        ) from None


def _line(clients: tuple[tuple[int, str, int], ...]) -> str:
    """The connected clients, and how far each has come."""
    if not clients:
        return "no client connected"
    listed = [
        f"{number} {account} at {utc_text(at_ns) if at_ns > 0 else 'the beginning'}"
        for number, account, at_ns in clients[:CLIENTS_SHOWN_MAX]
    ]
    more = f" and {len(clients) - CLIENTS_SHOWN_MAX} more" if len(clients) > CLIENTS_SHOWN_MAX else ""
    return f"{len(clients)} connected | {', '.join(listed)}{more}"
