"""`recorder simulate`."""

import json
import shlex
from typing import TYPE_CHECKING, Any

import click

from recorder.cli import options
from recorder.cli.stopping import Signals
from recorder.clock import NS_PER_MS
from recorder.live.wake import Wake
from recorder.venues import DEFAULT_VENUE, VENUES, venue_named

if TYPE_CHECKING:
    from recorder.simulator import Simulator, SimulatorOptions


@click.command(
    help="Run a simulated exchange on this machine: push portal and REST on one port, and an account that trades. Its "
    "books balance to the last digit. Use it to try Recorder, or to test your own programs. Market data is not served, "
    "and orders are refused.\n\n"
    "\b\nExample:  recorder simulate --port 9010 --rate 50\n"
    "          recorder simulate --start 2020-02-04T07:40 --seed 7 --pushes 1000"
)
@options.listening(9010)
@click.option(
    "--venue", type=click.Choice(sorted(VENUES)), default=DEFAULT_VENUE, show_default=True, help="Exchange to simulate."
)
@click.option("--seed", default=1, show_default=True, help="Seed of the trading; another seed trades differently.")
@click.option(
    "--symbol",
    "symbols",
    multiple=True,
    help="Instrument to trade. Can be given more than once.  [default: the venue's choice]",
)
@click.option("--key", help="API key or address to accept.  [default: the venue's choice]")
@click.option("--secret", help="Its secret. It is printed: do not use a real one.  [default: the venue's choice]")
@click.option(
    "--rate",
    "rate_per_s",
    type=float,
    default=20.0,
    show_default=True,
    help="Pushes per second; 0 for as fast as the client reads.",
)
@click.option("--pushes", type=int, help="Stop trading after this number of pushes.  [default: never]")
@click.option(
    "--start",
    type=options.Instant(),
    help="Stamp pushes with a virtual clock that starts at this time, such as 2020-02-04T07:40. The same seed then "
    "gives the same frames, order ids included: record each run in its own database.  [default: the real clock]",
)
@click.option(
    "--clock-offset", type=float, default=0.0, show_default=True, help="Error of the server's clock, in seconds."
)
@click.option(
    "--ping-timeout",
    "ping_timeout_s",
    type=options.Duration(above_zero=True),
    help="Disconnect a client that has sent no sign of life for this long.  [default: as the exchange does]",
)
@click.option(
    "--connection-max",
    "connection_max_s",
    type=options.Duration(above_zero=True),
    help="Close connections at this age.  [default: as the exchange does]",
)
@click.option(
    "--funding-interval",
    "funding_interval_s",
    type=options.Duration(above_zero=True),
    help="Let positions pay or receive funding each time the clock passes a multiple of this.  [default: never]",
)
@click.option(
    "--expiry",
    "expiry_s",
    type=options.Duration(above_zero=True),
    help="Let futures and options expire this long after the start.  [default: at the time that their name says]",
)
@click.option(
    "--drop-every", type=int, help="Reset the connections each time this many pushes were made.  [default: never]"
)
@options.file("--sent-log", "sent_log", "Write each frame to this file before it is sent.")
def simulate(
    venue: str,
    key: str | None,
    secret: str | None,
    symbols: tuple[str, ...],
    start: int | None,
    clock_offset: float,
    funding_interval_s: float | None,
    expiry_s: float | None,
    **asked: Any,
) -> None:
    """Run the simulator until a signal arrives."""
    from recorder.simulator import Simulator, SimulatorOptions  # noqa: PLC0415  loads a web server

    signals, wake = Signals(), Wake()
    played = venue_named(venue)
    default_key, default_secret = played.stand_in.default_account
    try:
        simulated = SimulatorOptions(
            venue=venue,
            symbols=tuple(map(played.native_symbol, symbols)),
            accounts={key or default_key: secret or default_secret},
            funding_interval_s=funding_interval_s or 0,
            expiry_s=expiry_s or 0,
            live_clock=start is None,
            start_ms=0 if start is None else start // NS_PER_MS,
            clock_offset_ms=int(clock_offset * 1000),
            keep_sent=False,
            **asked,
        )
    except (ValueError, OverflowError) as error:  # the latter: --clock-offset inf
        raise click.UsageError(str(error)) from None
    simulator = Simulator(simulated)
    options.start_listening(simulator, simulated.host, simulated.port, "--host, --port and --sent-log")
    signals.wakes(wake)
    try:
        click.echo(f"A simulated exchange ({venue}) is listening at {simulator.url}. Stop it with Ctrl-C.\n")
        click.echo(_instructions(simulated, simulator))
        wake.wait()
    finally:
        simulator.close()


def _instructions(simulated: "SimulatorOptions", simulator: "Simulator") -> str:
    """How to record it; ends with the configuration file."""
    venue = venue_named(simulated.venue)
    exported, lines = [], [f'venue = "{venue.name}"', f'url = "{simulator.url}"']
    for field in venue.credential_fields:
        value = simulator.credentials[field.name]
        if field.is_secret:
            variable = f"{venue.name}_{field.name}".upper()
            exported.append(f"{variable}={shlex.quote(value)}")
            value = f"env:{variable}"
        lines.append(f'{field.name} = "{value}"')
    symbols = simulated.symbols or venue.stand_in.default_symbols
    if simulated.symbols or venue.needs_symbols:
        lines.append(f"symbols = {json.dumps(symbols)}")
    export = f"  export {' '.join(exported)}\n" if exported else ""
    return (
        f"To record it, run in another terminal:\n\n{export}  recorder run\n\n"
        "in a folder with this recorder.toml:\n\n[accounts.main]\n" + "\n".join(lines) + "\n"
    )
