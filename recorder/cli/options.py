"""Options that several commands share, and how their values are read."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from recorder import open as open_record
from recorder.cli.output import FORMATS
from recorder.clock import duration_s, instant_ns, utc_text
from recorder.config import DEFAULT_DATABASE, DEFAULT_FILE, database_of
from recorder.read.records import ALL, Filter
from recorder.read.scope import last_received_ns, require
from recorder.replay.pace import speed_of

if TYPE_CHECKING:
    from recorder.read.record import Record

F = TypeVar("F", bound=Callable[..., Any])


class Duration(click.ParamType[float]):
    """`30s`, `5m`, `1h30m`: seconds.

    Args:
        above_zero: refuse none at all.
    """

    name = "duration"

    def __init__(self, *, above_zero: bool = False) -> None:
        self._above_zero = above_zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        try:
            span_s = value if isinstance(value, float) else duration_s(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if self._above_zero and not span_s > 0:
            self.fail(f"{value!r} is no time at all; write for example 30s", param, ctx)
        return span_s


class Instant(click.ParamType[int]):
    """An ISO date or time in UTC, or how long ago: nanoseconds since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Nanoseconds since 1970."""
        try:
            return value if isinstance(value, int) else instant_ns(value, time.time_ns())
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Speed(click.ParamType[float | None]):
    """`1`, `10`, `0.5` times the pace of the record, or `max`: None."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """How many times as fast."""
        try:
            return None if value is None else speed_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


SPEED_HELP = "Times as fast as it was received: 1, 10, 0.5; max for as fast as possible."


class Frame(click.ParamType[tuple[int, int]]):
    """A frame by its name: session and number."""

    name = "frame"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Session and number."""
        if isinstance(value, tuple):
            return value
        session_id, colon, seq = str(value).partition(":")
        if not (colon and all(part.isascii() and part.isdigit() and len(part) < 20 for part in (session_id, seq))):
            self.fail(
                f"{value!r} is not a frame; write its session_id and seq, such as 1742000000000000000:41", param, ctx
            )
        return int(session_id), int(seq)


def database(command: F) -> F:
    """`--database` and `--config`: which record."""
    command = click.option(
        "--config",
        type=click.Path(path_type=Path),
        help=f"The configuration file.  [default: {DEFAULT_FILE}, if it is there]",
    )(command)
    return click.option(
        "--database", metavar="URL", help=f"The record, such as {DEFAULT_DATABASE}; before what the configuration says."
    )(command)


def filters(command: F) -> F:
    """`--account`, `--symbol`, `--since`, `--until`: what of the record."""
    return _filters(command, "was received")


def happened(command: F) -> F:
    """As `filters`, but by the time when something happened, not when it was received."""
    return _filters(command, "happened")


def _filters(command: F, happened: str) -> F:
    for option in (
        click.option("--until", type=Instant(), help=f"Only what {happened} before; as --since."),
        click.option(
            "--since",
            type=Instant(),
            help=f"Only what {happened} since: 2020-02-04, 2020-02-04T07:40:53Z, or 2h (ago).",
        ),
        click.option("--symbol", help="Only this contract, such as btcusd_p."),
        click.option("--account", help="Only this account, by its name in the configuration."),
    ):
        command = option(command)
    return command


def stretch(command: F) -> F:
    """`--account`, `--since`, `--until`: what of the record is replayed."""
    for option in (
        click.option("--until", type=Instant(), help="Only what was received before; as --since."),
        click.option(
            "--since",
            type=Instant(),
            help="Only what was received since: 2020-02-04, 2020-02-04T07:40:53Z, or 2h (ago).",
        ),
        click.option(
            "--account", "accounts", multiple=True, help="Only this account, by its name; repeat it for more."
        ),
    ):
        command = option(command)
    return command


def stretch_of(options: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a replay that `stretch` makes; takes them out."""
    accounts, since_ns, until_ns = options.pop("accounts"), options.pop("since"), options.pop("until")
    return {"accounts": accounts or None, "since_ns": since_ns, "until_ns": until_ns}


def as_of(command: F) -> F:
    """`--as-of`: what was known then."""
    return click.option(
        "--as-of",
        "as_of",
        metavar="TIME",
        type=Instant(),
        help="What was known then, by receipt, and whether that time was covered; as --since. Not with --until.",
    )(command)


def output_format(command: F) -> F:
    """`--format`."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        default=FORMATS[0],
        show_default=True,
        help="A table for people, csv for sheets, json for programs: an object a line, decimals as strings.",
    )(command)


def database_url(database: str | None, config: Path | None) -> str:
    """The record that the options name."""
    if database is not None:
        return database
    if config is not None or DEFAULT_FILE.exists():
        return database_of(config or DEFAULT_FILE).url
    return DEFAULT_DATABASE


@contextmanager
def opened(database: str | None, config: Path | None, wanted: Filter = ALL) -> Iterator["Record"]:
    """Open the record that the options name, and check that it can hold what is asked for.

    Args:
        database: the value of `--database`.
        config: the value of `--config`.
        wanted: the account, symbol and times of the command line.

    Raises:
        ConfigurationError: the record has no such account or symbol, or the times make no sense.
    """
    with open_record(database_url(database, config)) as record:
        with record.reading() as connection:
            require(connection, wanted, time.time_ns())
            last_ns = None if wanted.since_ns is None else last_received_ns(connection, wanted.account)
        if wanted.since_ns is not None and last_ns is not None and last_ns < wanted.since_ns:
            click.echo(f"Note: nothing was received after {utc_text(last_ns)} UTC, which is before --since.", err=True)
        yield record


def nothing(things: str, wanted: Filter) -> str:
    """What a table without rows says."""
    return f"No {things} here yet." if wanted == ALL else f"No {things} match the options given."


def database_urls(database: str | None, config: Path | None) -> list[str]:
    """The databases whose schema the options mean: a server's, and the journal in front of it."""
    if database is not None or not (config is not None or DEFAULT_FILE.exists()):
        return [database_url(database, config)]
    place = database_of(config or DEFAULT_FILE)
    return [url for url in (place.server, place.journal) if url is not None]


def refuse_two_ends(as_of: int | None, until: int | None) -> None:
    """Refuse `--until` beside `--as-of`.

    Raises:
        click.UsageError: both are given.
    """
    if as_of is not None and until is not None:
        raise click.UsageError("--as-of and --until both say where the record ends; give one of them.")


def filter_of(options: dict[str, Any]) -> Filter:
    """The filter that the options make; takes them out."""
    return Filter(options.pop("account"), options.pop("symbol"), options.pop("since"), options.pop("until"))


def max_wait(command: F) -> F:
    """`--max-wait`."""
    option = click.option(
        "--max-wait",
        "wait_s_max",
        type=Duration(),
        callback=_above_zero,
        help="Cut longer waits, as over a gap, to this.",
    )
    return option(command)


def _above_zero(_ctx: click.Context, _param: click.Parameter, value: float | None) -> float | None:
    if value is not None and value <= 0:
        raise click.BadParameter("a wait must be above zero; take --speed max for none")
    return value
