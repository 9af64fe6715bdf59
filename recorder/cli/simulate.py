"""`recorder simulate`."""

import shlex
from typing import TYPE_CHECKING, Any

import click

from recorder.cli import options
from recorder.cli.stopping import Signals
from recorder.clock import NS_PER_MS
from recorder.live.wake import Wake

if TYPE_CHECKING:
    from recorder.simulator import SimulatorOptions


@click.command(
    help="Run a simulated FMex on this machine: push portal and REST on one port, and an account that trades. Its "
    "books balance to the last digit. Use it to try Recorder, or to test your own programs. Market data is not served, "
    "and orders are refused.\n\n"
    "\b\nExample:  recorder simulate --port 9010 --rate 50\n"
    "          recorder simulate --start 2020-02-04T07:40 --seed 7 --pushes 1000"
)
@options.listening(9010)
@click.option("--seed", default=1, show_default=True, help="Seed of the trading; another seed trades differently.")
@click.option(
    "--symbol",
    "symbols",
    multiple=True,
    default=("btcusd_p",),
    show_default=True,
    help="Contract to trade. Can be given more than once.",
)
@click.option("--key", default="demo-key", show_default=True, help="API key to accept.")
@click.option(
    "--secret", default="demo-secret", show_default=True, help="Its secret. It is printed: do not use a real one."
)
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
    type=options.Duration(),
    default=30.0,
    show_default=True,
    help="Disconnect a client that has sent no ping for this long.",
)
@click.option(
    "--drop-every", type=int, help="Reset the connections each time this many pushes were made.  [default: never]"
)
@options.file("--sent-log", "sent_log", "Write each frame to this file before it is sent.")
def simulate(
    key: str, secret: str, symbols: tuple[str, ...], start: int | None, clock_offset: float, **asked: Any
) -> None:
    """Run the simulator until a signal arrives."""
    from recorder.simulator import Simulator, SimulatorOptions  # noqa: PLC0415  loads a web server

    signals, wake = Signals(), Wake()
    try:
        simulated = SimulatorOptions(
            symbols=tuple(symbol.lower() for symbol in symbols),
            accounts={key: secret},
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
        click.echo(f"A simulated FMex is listening at {simulator.url}. Stop it with Ctrl-C.\n")
        click.echo(_instructions(simulated, simulator.url))
        wake.wait()
    finally:
        simulator.close()


def _instructions(simulated: "SimulatorOptions", url: str) -> str:
    """How to record it; ends with the configuration file."""
    ((key, secret),) = simulated.accounts.items()
    symbols = ", ".join(f'"{symbol}"' for symbol in simulated.symbols)
    return (
        "To record it, run in another terminal:\n\n"
        f"  export FMEX_KEY={shlex.quote(key)} FMEX_SECRET={shlex.quote(secret)}\n"
        "  recorder run\n\n"
        "in a folder with this recorder.toml:\n\n"
        f'[accounts.main]\nvenue = "fmex"\nurl = "{url}"\nkey = "env:FMEX_KEY"\nsecret = "env:FMEX_SECRET"\n'
        f"symbols = [{symbols}]\n"
    )
