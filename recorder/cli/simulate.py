"""`recorder simulate`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recorder.cli import options
from recorder.cli.stopping import Signals
from recorder.clock import NS_PER_MS
from recorder.errors import ConfigurationError
from recorder.live.wake import Wake
from recorder.model import host_port

if TYPE_CHECKING:
    from recorder.simulator import SimulatorOptions


@click.command(
    help="Run a simulated FMex on this machine: push portal and REST on one port, and an account that trades. Its "
    "books balance to the last digit. Use it to try Recorder, or to test your own programs. Market data is not served, "
    "and orders are refused.\n\n"
    "\b\nExample:  recorder simulate --port 9010 --rate 50\n"
    "          recorder simulate --start 2020-02-04T07:40 --seed 7 --pushes 1000"
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=9010, show_default=True, help="Port to listen on; 0 for any free one.")
@click.option("--seed", default=1, show_default=True, help="Seed of the trading; another seed trades differently.")
@click.option(
    "--symbol",
    "symbols",
    multiple=True,
    default=("btcusd_p",),
    show_default=True,
    help="Contract to trade; repeat the option for more.",
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
@click.option("--pushes", type=int, help="Stop trading after this many pushes.  [default: never]")
@click.option(
    "--start",
    "start_ns",
    type=options.Instant(),
    help="Stamp pushes with a virtual clock that starts at this time, such as 2020-02-04T07:40. The same seed then "
    "gives the same frames, order ids included: record each run in its own database.  [default: the real clock]",
)
@click.option(
    "--clock-offset",
    "clock_offset_s",
    type=float,
    default=0.0,
    show_default=True,
    help="Error of the server's clock, in seconds.",
)
@click.option(
    "--ping-timeout",
    "ping_timeout_s",
    type=options.Duration(),
    default=30.0,
    show_default=True,
    help="Disconnect a client that has sent no ping for this long.",
)
@click.option("--drop-every", type=int, help="Reset the connections after each so many pushes.  [default: never]")
@click.option("--sent-log", type=click.Path(path_type=Path), help="Write each frame to this file before it is sent.")
def simulate(
    host: str,
    port: int,
    seed: int,
    symbols: tuple[str, ...],
    key: str,
    secret: str,
    rate_per_s: float,
    pushes: int | None,
    start_ns: int | None,
    clock_offset_s: float,
    ping_timeout_s: float,
    drop_every: int | None,
    sent_log: Path | None,
) -> None:
    """Run the simulator until a signal arrives."""
    from recorder.simulator import Simulator, SimulatorOptions  # noqa: PLC0415  loads a web server

    signals, wake = Signals(), Wake()
    try:
        simulated = SimulatorOptions(
            host=host,
            port=port,
            seed=seed,
            symbols=tuple(symbol.lower() for symbol in symbols),
            accounts={key: secret},
            pushes=pushes,
            rate_per_s=rate_per_s,
            live_clock=start_ns is None,
            start_ms=0 if start_ns is None else start_ns // NS_PER_MS,
            clock_offset_ms=int(clock_offset_s * 1000),
            ping_timeout_s=ping_timeout_s,
            drop_every=drop_every,
            sent_log=sent_log,
            keep_sent=False,
        )
    except (ValueError, OverflowError) as error:  # the latter: --clock-offset inf
        raise click.UsageError(str(error)) from None
    simulator = Simulator(simulated)
    try:
        simulator.start()
    except OSError as error:
        raise ConfigurationError(
            f"The simulator cannot start on {host_port(host, port)}: {error.strerror}; "
            "check --host, --port and --sent-log."
        ) from None
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
