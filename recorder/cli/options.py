"""Options that several commands share, and how their values are read."""

import getpass
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recorder import open as open_record
from recorder.cli.output import FORMATS, Layout
from recorder.clock import duration_s, instant_ns, utc_text
from recorder.read.records import ALL, Filter

if TYPE_CHECKING:
    from recorder.read.record import Record

Command = Callable[..., Any]

SINCE_HELP = "ISO date or time in UTC, seconds, ms or ns since 1970, or a duration ago such as 2h"
ACCOUNT_HELP = "Only this account: its name in the configuration, or venue/name where two venues share a name."


class Duration(click.ParamType[float]):
    """A duration such as `30s`, `5m` or `1h30m`, in seconds.

    Args:
        above_zero: refuse 0.
    """

    name = "duration"

    def __init__(self, *, above_zero: bool = False) -> None:
        self._above_zero = above_zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it; returns seconds."""
        try:
            span_s = value if isinstance(value, float) else duration_s(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if self._above_zero and not span_s > 0:
            self.fail(f"{value!r} is not above zero; write for example 30s", param, ctx)
        return span_s


class Instant(click.ParamType[int]):
    """An ISO date or time in UTC, a time since 1970, or a duration ago; in nanoseconds since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it; returns nanoseconds since 1970."""
        try:
            return value if isinstance(value, int) else instant_ns(value, time.time_ns())
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Speed(click.ParamType[float | None]):
    """How many times as fast as the record: `1`, `10`, `0.5`; None for `max`."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """Read it."""
        from recorder.replay.pace import speed_of  # noqa: PLC0415  most commands replay nothing

        try:
            return None if value is None else speed_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


SPEED_HELP = "Times as fast as it was received: 1, 10, 0.5; max for as fast as possible."


class Frame(click.ParamType[tuple[int, int]]):
    """The name of a frame: session and number, `SESSION:SEQ`."""

    name = "frame"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Read it; returns session and number."""
        if isinstance(value, tuple):
            return value
        session_id, colon, seq = str(value).partition(":")
        if not (colon and all(part.isascii() and part.isdigit() and len(part) < 20 for part in (session_id, seq))):
            self.fail(
                f"{value!r} is not a frame; write its session_id and seq, such as 1742000000000000000:41", param, ctx
            )
        return int(session_id), int(seq)


class Names(click.ParamType[tuple[str, ...]]):
    """Names with commas between."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Read it."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in str(value).split(","))
        if not all(names):
            self.fail(f"{value!r} has an empty name; write for example symbol,price,quantity", param, ctx)
        return names


def _all(command: Command, *options: Callable[[Any], Any]) -> Command:
    """Add options, the first one first in the help."""
    for option in reversed(options):
        command = option(command)
    return command


def database(command: Command) -> Command:
    """`--database` and `--config`: which record."""
    return _all(
        command,
        click.option(
            "--database",
            metavar="URL",
            help="The record, such as sqlite:///recorder.db or postgresql+psycopg://me@host/recorder.  "
            "[default: as configured, or sqlite:///recorder.db]",
        ),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            help="The configuration file.  [default: recorder.toml, if it exists]",
        ),
    )


def this_user() -> str:
    """The user and the machine, for entries that say who did something."""
    return f"{getpass.getuser()} on {platform.node()}"


def account(command: Command) -> Command:
    """`--account`: one account of the record."""
    return click.option("--account", metavar="NAME", help=ACCOUNT_HELP)(command)


def period(of: str = "was received") -> Callable[[Command], Command]:
    """`--since` and `--until`.

    Args:
        of: what the times are of: `was received` or `happened`.
    """
    return lambda command: _all(
        command,
        click.option("--since", type=Instant(), help=f"Only what {of} at or after this time: {SINCE_HELP}."),
        click.option("--until", type=Instant(), help=f"Only what {of} before this time; written as --since."),
    )


def filters(*, of: str = "was received", symbol: bool = True) -> Callable[[Command], Command]:
    """`--account`, `--symbol`, `--since`, `--until`: what of the record, as the argument `wanted`.

    Args:
        of: what the times are of: `was received` or `happened`.
        symbol: whether there is `--symbol`.
    """

    def add(command: Command) -> Command:
        @wraps(command)
        def call(*arguments: Any, account: str | None, since: int | None, until: int | None, **options: Any) -> Any:
            wanted = Filter(account, options.pop("symbol", None), since, until)
            return command(*arguments, wanted=wanted, **options)

        only_symbol = click.option("--symbol", help="Only this symbol, such as btcusd_p, in any case.")
        return _all(call, account, *([only_symbol] if symbol else []), period(of))

    return add


def replayed(command: Command) -> Command:
    """`--account` (repeatable), `--since`, `--until`: the part of the record that is replayed."""
    several = click.option(
        "--account", "accounts", metavar="NAME", multiple=True, help=f"{ACCOUNT_HELP} Repeat it for more."
    )
    return _all(command, several, period("was received"))


def replayed_of(options: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a replay that `replayed` makes; takes them out of the options."""
    accounts, since_ns, until_ns = options.pop("accounts"), options.pop("since"), options.pop("until")
    return {"accounts": accounts or None, "since_ns": since_ns, "until_ns": until_ns}


def as_of(command: Command) -> Command:
    """`--as-of`: what was known at an instant."""
    return click.option(
        "--as-of",
        "as_of",
        metavar="TIME",
        type=Instant(),
        help="Show what had been received at this time, and say whether the record covers it; written as --since. "
        "Excludes --until.",
    )(command)


def layout(command: Command) -> Command:
    """`--format`, `--columns`, `--limit`: how rows are printed, as the argument `layout`."""

    @wraps(command)
    def call(*arguments: Any, form: str, columns: tuple[str, ...], limit: int | None, **options: Any) -> Any:
        return command(*arguments, layout=Layout(form, columns, limit), **options)

    return _all(
        call,
        click.option(
            "--format",
            "form",
            type=click.Choice(FORMATS),
            default=FORMATS[0],
            show_default=True,
            help="A table for people, csv for spreadsheets, or json: one object per line, decimals as strings.",
        ),
        click.option("--columns", type=Names(), default=(), metavar="A,B,C", help="Only these columns, in this order."),
        click.option(
            "--limit",
            type=click.IntRange(min=1),
            metavar="N",
            help="Only the last N rows.  [default: all; of a table the last 200]",
        ),
    )


def max_wait(command: Command) -> Command:
    """`--max-wait`."""
    return click.option(
        "--max-wait",
        "wait_s_max",
        type=Duration(above_zero=True),
        help="Shorten longer waits, as over a gap, to this. For no waits at all: --speed max.",
    )(command)


def all_sightings(command: Command) -> Command:
    """`--all-sightings`."""
    return click.option(
        "--all-sightings", is_flag=True, help="Repeat a push as often as recorders received it, instead of once."
    )(command)


def require_complete(command: Command) -> Command:
    """`--require-complete`."""
    return click.option(
        "--require-complete",
        is_flag=True,
        help="Refuse a period with gaps: list them, and exit with code 1.",
    )(command)


def database_url(database: str | None, config: Path | None) -> str:
    """The record that the options name."""
    from recorder.config import DEFAULT_DATABASE, DEFAULT_FILE, database_of  # noqa: PLC0415  --database needs none

    if database is not None:
        return database
    if config is not None or DEFAULT_FILE.exists():
        return database_of(config or DEFAULT_FILE).url
    return DEFAULT_DATABASE


def database_urls(database: str | None, config: Path | None) -> list[str]:
    """The databases whose schema the options mean: a server's, and the journal in front of it."""
    from recorder.config import DEFAULT_FILE, database_of  # noqa: PLC0415  --database needs none

    if database is not None or not (config is not None or DEFAULT_FILE.exists()):
        return [database_url(database, config)]
    place = database_of(config or DEFAULT_FILE)
    return [url for url in (place.server, place.journal) if url is not None]


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
    from recorder.read.scope import last_received_ns, require  # noqa: PLC0415  `recorder x --help` needs no database

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


def refuse_two_ends(as_of: int | None, until: int | None) -> None:
    """Refuse `--until` beside `--as-of`.

    Raises:
        click.UsageError: both are given.
    """
    if as_of is not None and until is not None:
        raise click.UsageError("--as-of and --until both set the end of the period; give one of them.")
