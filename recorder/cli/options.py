"""The options that several commands share, and the types of their values."""

import getpass
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from recorder import open as open_record
from recorder.cli.completion import configured_names
from recorder.cli.output import FORMATS, Layout, note_reused_ids
from recorder.clock import duration_s, instant_ns, utc_text
from recorder.errors import ConfigurationError
from recorder.model import host_port
from recorder.read.records import ALL, Filter

if TYPE_CHECKING:
    from recorder.config import Config, Database
    from recorder.read.record import Record
    from recorder.wire.thread import Startable

T = TypeVar("T")
Command = Callable[..., Any]

ACCOUNT_HELP = "Only this account: its name in the configuration, or venue/name where two venues share a name."


class RecordAddress(NamedTuple):
    """The record that `--database` and `--config` name."""

    database: str | None
    config: Path | None

    @property
    def file(self) -> Path:
        """The configuration file, whether it exists or not."""
        from recorder.config import DEFAULT_FILE  # noqa: PLC0415  help texts need no configuration

        return self.config or DEFAULT_FILE

    @property
    def url(self) -> str:
        """The database to read."""
        return self.urls[0]

    @property
    def urls(self) -> list[str]:
        """The databases of the record: the server's, if there is one, and then the file that is recorded into."""
        from recorder.config import DEFAULT_DATABASE, database_of  # noqa: PLC0415  --database needs no configuration

        if self.database is not None:
            return [self.database]
        if self.config is None and not self.file.exists():
            return [DEFAULT_DATABASE]
        configured = database_of(self.file)
        return [url for url in (configured.server, configured.journal) if url is not None]

    def configured(self) -> "tuple[Config, Database]":
        """The whole configuration, and the database to record into."""
        from recorder.config import database_at, load  # noqa: PLC0415  most commands need no secrets

        config = load(self.file)
        return config, database_at(self.database, self.file) if self.database else config.database

    @contextmanager
    def opened(self, wanted: Filter = ALL) -> Iterator["Record"]:
        """Open the record for reading, and check the account, symbol and times of the command line.

        Raises:
            ConfigurationError: the record has no such account or symbol, or the times make no sense.
        """
        from recorder.read.scope import last_received_ns, require  # noqa: PLC0415  help texts need no database

        with open_record(self.url) as record:
            with record.reading() as connection:
                require(connection, wanted, time.time_ns())
                note_reused_ids(connection, wanted.account)
                last_ns = None if wanted.since_ns is None else last_received_ns(connection, wanted.account)
            if wanted.since_ns is not None and last_ns is not None and last_ns < wanted.since_ns:
                click.echo(
                    f"Note: nothing was received after {utc_text(last_ns)} UTC, which is before --since.", err=True
                )
            yield record


class Parsed(click.ParamType[T]):
    """A value that is read from text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T:
        """Read a value from the command line; a default may be read already."""
        try:
            return self.read(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def read(self, text: str) -> T:
        """Read the text.

        Raises:
            ValueError: with a sentence about the text.
        """
        raise NotImplementedError


class Duration(Parsed[float]):
    """A duration such as `30s`, `5m` or `1h30m`, in seconds.

    Args:
        above_zero: refuse 0.
    """

    name = "duration"

    def __init__(self, *, above_zero: bool = False) -> None:
        self._above_zero = above_zero

    def read(self, text: str) -> float:
        """Read seconds."""
        span_s = duration_s(text)
        if self._above_zero and not span_s > 0:
            raise ValueError(f"{text!r} is not above zero; write for example 30s")
        return span_s


class Instant(Parsed[int]):
    """An ISO date or time in UTC, a time since 1970, or a duration before now; in nanoseconds since 1970."""

    name = "time"

    def read(self, text: str) -> int:
        """Read nanoseconds since 1970."""
        return instant_ns(text, time.time_ns())


class Speed(Parsed[float | None]):
    """The speed of a replay, as a multiple of the original: `1`, `10`, `0.5`; None for `max`."""

    name = "speed"

    def read(self, text: str) -> float | None:
        """Read the multiple."""
        from recorder.replay.clock import speed_of  # noqa: PLC0415  most commands replay nothing

        return speed_of(text)


class Names(Parsed[tuple[str, ...]]):
    """Names separated by commas."""

    name = "names"

    def read(self, text: str) -> tuple[str, ...]:
        """Read the names."""
        names = tuple(name.strip() for name in text.split(","))
        if not all(names):
            raise ValueError(f"{text!r} has an empty name; write for example symbol,price,quantity")
        return names


def _all(command: Command, *options: Callable[[Any], Any]) -> Command:
    """Add options, the first one first in the help."""
    for option in reversed(options):
        command = option(command)
    return command


def record_address(command: Command) -> Command:
    """`--database` and `--config`, as the argument `at`."""

    @wraps(command)
    def call(*arguments: Any, database: str | None, config: Path | None, **options: Any) -> Any:
        return command(*arguments, at=RecordAddress(database, config), **options)

    return _all(
        call,
        click.option(
            "--database",
            metavar="URL",
            help="Address of the record, such as sqlite:///recorder.db or postgresql+psycopg://me@host/recorder.  "
            "[default: as configured, or sqlite:///recorder.db]",
        ),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            help="The configuration file.  [default: recorder.toml, if it exists]",
        ),
    )


def file(name: str, parameter: str, words: str, **attributes: Any) -> Callable[[Any], Any]:
    """An option that names a file."""
    settings: dict[str, Any] = {"type": click.Path(path_type=Path), "metavar": "FILE", "help": words} | attributes
    return click.option(name, parameter, **settings)


def checkpoints(command: Command) -> Command:
    """`--checkpoint` and `--public-key`, as the arguments `files` and `key_file`."""
    return _all(
        command,
        file(
            "--checkpoint",
            "files",
            "A file of checkpoints that you kept elsewhere. Can be given more than once.",
            multiple=True,
        ),
        file("--public-key", "key_file", "The public key that signed the checkpoints."),
    )


def account(command: Command) -> Command:
    """`--account`: one account of the record."""
    return click.option("--account", metavar="NAME", help=ACCOUNT_HELP, shell_complete=configured_names)(command)


def period(of: str = "was received", names: tuple[str, str] = ("since", "until")) -> Callable[[Command], Command]:
    """`--since` and `--until`.

    Args:
        of: what the times are of: `was received` or `happened`.
        names: of the arguments.
    """
    since = (
        f"Only what {of} at or after this time: an ISO date or time in UTC, seconds, ms, µs or ns since 1970, or a "
        "duration before now such as 2h or 7d."
    )
    until = f"Only what {of} before this time, written as --since."
    return lambda command: _all(
        command,
        click.option("--since", names[0], metavar="TIME", type=Instant(), help=since),
        click.option("--until", names[1], metavar="TIME", type=Instant(), help=until),
    )


def filters(*, of: str = "was received", symbol: bool = True) -> Callable[[Command], Command]:
    """`--account`, `--symbol`, `--since`, `--until`: the part of the record to show, as the argument `wanted`.

    Args:
        of: what the times are of: `was received` or `happened`.
        symbol: whether there is `--symbol`.
    """

    def add(command: Command) -> Command:
        @wraps(command)
        def call(*arguments: Any, account: str | None, since: int | None, until: int | None, **options: Any) -> Any:
            wanted = Filter(account, options.pop("symbol", None), since, until)
            return command(*arguments, wanted=wanted, **options)

        only_symbol = click.option("--symbol", help="Only this symbol, such as BTC-USDT-SWAP, in any case.")
        return _all(call, account, *([only_symbol] if symbol else []), period(of))

    return add


def replayed(speed: str) -> Callable[[Command], Command]:
    """The options of a replay: which part of the record, and how fast.

    Args:
        speed: the default of `--speed`.
    """

    def add(command: Command) -> Command:
        @wraps(command)
        def call(*arguments: Any, accounts: tuple[str, ...], **options: Any) -> Any:
            return command(*arguments, accounts=accounts or None, **options)

        return _all(
            call,
            click.option(
                "--account",
                "accounts",
                metavar="NAME",
                multiple=True,
                help=f"{ACCOUNT_HELP} Can be given more than once.",
                shell_complete=configured_names,
            ),
            period(names=("since_ns", "until_ns")),
            click.option(
                "--speed",
                type=Speed(),
                default=speed,
                show_default=True,
                help="Speed as a multiple of the original: 1, 10, 0.5; max for as fast as possible.",
            ),
            click.option(
                "--max-wait",
                "wait_s_max",
                type=Duration(above_zero=True),
                help="Shorten longer waits, such as over a gap, to this time.",
            ),
            click.option(
                "--all-sightings",
                is_flag=True,
                help="If several recorders received a push, repeat it for each of them, instead of giving it once.",
            ),
            require_complete,
        )

    return add


def require_complete(command: Command) -> Command:
    """`--require-complete`."""
    return click.option(
        "--require-complete", is_flag=True, help="Refuse a period with gaps: list them, and exit with code 1."
    )(command)


def listening(port: int) -> Callable[[Command], Command]:
    """`--host` and `--port` of a server.

    Args:
        port: the default.
    """
    return lambda command: _all(
        command,
        click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
        click.option(
            "--port",
            default=port,
            show_default=True,
            type=click.IntRange(0, 65535),
            help="Port to listen on; 0 for any free one.",
        ),
    )


def as_of(command: Command) -> Command:
    """`--as-of`: what was known at an instant."""
    return click.option(
        "--as-of",
        "as_of",
        metavar="TIME",
        type=Instant(),
        help="Show what had been received by this time, and whether the record covers it; written as --since. "
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


def nothing(things: str, wanted: Filter) -> str:
    """The text instead of a table without rows."""
    return f"No {things} here yet." if wanted == ALL else f"No {things} match the options given."


def this_user() -> str:
    """The user and the machine, for entries that say who did something."""
    return f"{getpass.getuser()} on {platform.node()}"


def start_listening(server: "Startable", host: str, port: int, options: str) -> None:
    """Start a server.

    Args:
        server: to start.
        host: to listen on.
        port: to listen on.
        options: to check where it cannot start, in words.

    Raises:
        ConfigurationError: it cannot listen there.
    """
    try:
        server.start()
    except OSError as error:
        raise ConfigurationError(
            f"The server cannot start on {host_port(host, port)}: {error.strerror}; check {options}."
        ) from None
