"""`recorder simulate`."""

from pathlib import Path

import click

from recorder.cli import options
from recorder.cli.stopping import Signals
from recorder.errors import ConfigurationError
from recorder.live.wake import Wake


@click.command(
    help="A simulated FMex on this machine: push portal and REST on one port, and an account behind it that trades. "
    "Its books balance, and the same seed gives the same frames. For this recorder, and for your own programs.\n\n"
    "\b\nExample:  recorder simulate --port 9010 --rate 50"
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=9010, show_default=True, help="Port to listen on; 0 for any that is free.")
@click.option("--seed", default=1, show_default=True, help="Of everything that happens.")
@click.option(
    "--symbol",
    "symbols",
    multiple=True,
    default=("btcusd_p",),
    show_default=True,
    help="Contract traded; repeat it for more.",
)
@click.option("--key", default="demo-key", show_default=True, help="API key that is accepted.")
@click.option("--secret", default="demo-secret", show_default=True, help="Its secret; nothing real.")
@click.option(
    "--rate",
    "rate_per_s",
    type=float,
    default=20.0,
    show_default=True,
    help="Pushes a second; 0 for as fast as the client reads.",
)
@click.option("--pushes", type=int, help="Stop trading after so many pushes.  [default: endless]")
@click.option("--live-clock", is_flag=True, help="Stamp pushes with the real clock, not with February 2020.")
@click.option(
    "--clock-offset",
    "clock_offset_s",
    type=float,
    default=0.0,
    show_default=True,
    help="How wrong the server's clock is, in seconds.",
)
@click.option(
    "--ping-timeout",
    "ping_timeout_s",
    type=options.Duration(),
    default=30.0,
    show_default=True,
    help="Disconnect a client that sent no ping for so long.",
)
@click.option("--drop-every", type=int, help="Break the connections after each so many pushes.  [default: never]")
@click.option("--sent-log", type=click.Path(path_type=Path), help="Write each frame sent to this file.")
def simulate(
    host: str,
    port: int,
    seed: int,
    symbols: tuple[str, ...],
    key: str,
    secret: str,
    rate_per_s: float,
    pushes: int | None,
    live_clock: bool,
    clock_offset_s: float,
    ping_timeout_s: float,
    drop_every: int | None,
    sent_log: Path | None,
) -> None:
    """Simulate."""
    from recorder.simulator import Simulator, SimulatorOptions  # noqa: PLC0415  it brings a web server along

    signals, wake = Signals(), Wake()
    try:
        told = SimulatorOptions(
            host=host,
            port=port,
            seed=seed,
            symbols=tuple(symbol.lower() for symbol in symbols),
            accounts={key: secret},
            pushes=pushes,
            rate_per_s=rate_per_s,
            live_clock=live_clock,
            clock_offset_ms=int(clock_offset_s * 1000),
            ping_timeout_s=ping_timeout_s,
            drop_every=drop_every,
            sent_log=sent_log,
            keep_sent=False,
        )
    except (ValueError, OverflowError) as error:  # the latter: an offset without end
        raise click.UsageError(str(error)) from None
    simulator = Simulator(told)
    try:
        simulator.start()
    except OSError as error:
        raise ConfigurationError(
            f"The simulator cannot start on {host}:{port}: {error.strerror}; look at --host, --port and --sent-log."
        ) from None
    signals.wakes(wake)
    try:
        click.echo(f"FMex, simulated, at {simulator.url} (key {key}, secret {secret}). Stop it with Ctrl-C.\n")
        click.echo(_configuration(simulator.url))
        wake.wait()
    finally:
        simulator.close()


def _configuration(url: str) -> str:
    return (
        "To record it, export FMEX_KEY and FMEX_SECRET, and write into recorder.toml:\n\n"
        f'[accounts.simulated]\nvenue = "fmex"\nurl = "{url}"\nkey = "env:FMEX_KEY"\nsecret = "env:FMEX_SECRET"\n'
        'symbols = ["btcusd_p"]\n'
    )
