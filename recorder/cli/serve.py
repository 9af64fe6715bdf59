"""`recorder serve`."""

from typing import Any

import click

from recorder.cli import options
from recorder.cli.progress import progress
from recorder.cli.stopping import Signals
from recorder.clock import utc_text
from recorder.live.wake import Wake

#: Connected clients listed in the live line; more are only counted.
CLIENTS_SHOWN_MAX = 4


@click.command(
    help="Serve the record as its exchange would: the push portal sends the recorded frames again, verbatim, and REST "
    "answers as of the replayed time. Bots written for the exchange can connect, and so can Recorder. Market data is "
    "not served, and orders are refused.\n\n"
    "Each client has its own replay, which starts when it has subscribed. Its API key is the account's name; if "
    "several clients of one account use REST, give each its own key: main/1, main/2. A client can choose its own "
    "start and speed in the push portal's address: &since=2020-02-04T07:40&speed=10.\n\n"
    "\b\nExample:  recorder serve --since 2020-02-04 --speed 10 --max-wait 5s\n"
    "          recorder serve --account main --speed max --port 9020"
)
@options.record_address
@options.replayed(speed="1")
@options.listening(9020)
@click.option(
    "--secret",
    default="replay-secret",
    show_default=True,
    help="API secret of every account. It is printed: do not use a real one.",
)
@click.option(
    "--ping-timeout",
    "ping_timeout_s",
    type=options.Duration(above_zero=True),
    help="Disconnect a client that has given no sign of life for this long; if not given, as the exchange does.",
)
@click.option(
    "--patience",
    "patience_s",
    type=options.Duration(above_zero=True),
    default="30s",
    show_default=True,
    help="Disconnect a client that has read nothing for this long.",
)
def serve(at: options.RecordAddress, **asked: Any) -> None:
    """Serve the record until a signal arrives."""
    from recorder.replay.serving import Serving, ServingOptions  # noqa: PLC0415  loads a web server

    signals, wake = Signals(), Wake()
    served = ServingOptions(**asked)
    serving = Serving(at.url, served)
    with progress() as shown:
        try:
            options.start_listening(serving, served.host, served.port, "--host and --port")
            signals.wakes(wake)
            keys = " or ".join(f"{key!r}" for key in serving.keys)
            click.echo(
                f"Serving the record at {serving.url} (key {keys}, secret {served.secret!r}). Stop it with Ctrl-C."
            )
            while not wake.wait(shown.every_s):
                now = serving.status()
                shown.show(now.frames, _line(now.clients))
        finally:
            serving.close()


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
