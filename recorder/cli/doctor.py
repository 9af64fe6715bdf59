"""`recorder doctor`: check everything that a run needs, before the run."""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click

from recorder import open as open_record
from recorder.cli import options
from recorder.cli.output import show_json
from recorder.cli.reconcile import accounts_named
from recorder.clock import NS_PER_S, Clock
from recorder.config import Config, Database
from recorder.errors import DatabaseBusy, RecorderError
from recorder.live.connection import Connector, client_of, too_many_connections
from recorder.live.rest_client import check_clock
from recorder.live.settings import Account, Limits
from recorder.live.unrecorded import check_rights
from recorder.live.wake import Wake
from recorder.store import migrate, sqlite
from recorder.store.engine import database_path, explained, open_engine, place, sole_writer
from recorder.store.mover import require_rights
from recorder.venues.base import Stream
from recorder.venues.reading import printable

OK, WARNING, PROBLEM = "ok", "warning", "problem"
_COLOURS = {OK: "green", WARNING: "yellow", PROBLEM: "red"}

#: Less free space than this is a warning, bytes; less than a tenth of it is a problem.
FREE_BYTES_MIN = 2 * 2**30
#: A disk that will be full sooner than this at the present rate is a warning, days.
FREE_DAYS_MIN = 30
#: Rate of growth is measured on records of at least this age, days.
GROWTH_DAYS_MIN = 1.0
_DAY_NS = 86_400 * NS_PER_S


class Finding(NamedTuple):
    """The result of one check."""

    #: `configuration`, `database`, `disk`, or the name of an account.
    subject: str
    level: str
    #: One sentence; of a problem, with what to do.
    text: str


@click.command(
    help="Check everything that a run needs: the configuration and the secrets it names, the database, its disk and "
    "its schema, and for each account the network, the clock, the credentials and what they may do. Nothing is "
    "recorded. Exit code 1: something would keep a run from recording.\n\n"
    "\b\nExample:  recorder doctor\n"
    "          recorder doctor --account main --format json"
)
@options.record_address
@options.account
@click.option(
    "--format",
    "form",
    type=click.Choice(("table", "json")),
    default="table",
    show_default=True,
    help="Text for people, or one JSON object per line.",
)
@click.pass_context
def doctor(ctx: click.Context, at: options.RecordAddress, account: str | None, form: str) -> None:
    """Check."""
    problems = 0
    for found in examine(at, account):
        problems += found.level == PROBLEM
        if form == "json":
            show_json(found)
        else:
            click.echo(_line(found))
    if form == "table":
        click.echo(
            "\nA run cannot record yet: solve the problems above, then type recorder doctor again."
            if problems
            else "\nReady. Start recording with: recorder run"
        )
    ctx.exit(1 if problems else 0)


def _line(found: Finding) -> str:
    return f"{click.style(f'{found.level:<8}', fg=_COLOURS[found.level])} {found.subject}: {printable(found.text)}"


def examine(at: options.RecordAddress, account: str | None) -> Iterator[Finding]:
    """Check everything, one finding after the other; what depends on a failed check is left out."""
    try:
        settings, to = at.configured()
        accounts = accounts_named(settings.accounts, account, at.file)
    except RecorderError as error:
        yield Finding("configuration", PROBLEM, str(error))
        return
    yield Finding("configuration", OK, f"{at.file}: {_listed(settings)}; all secrets can be read")
    # All accounts: a run records them together.
    yield from (Finding("configuration", WARNING, f"{one}.") for one in too_many_connections(settings.accounts))
    yield from _database(to)
    for one in accounts:
        yield from _account(one, settings.limits)


def _listed(settings: Config) -> str:
    return ", ".join(f"{one.name} ({one.venue.name})" for one in settings.accounts)


def _database(to: Database) -> Iterator[Finding]:
    path = database_path(to.journal)
    yield _checked("database", partial(_file, to.journal, path))
    yield _checked("disk", partial(_disk, to.journal, path))
    if to.server is not None:
        yield _checked("server", partial(_server, to.server))


def _checked(subject: str, check: Callable[[], str | Finding]) -> Finding:
    """What a check says; its error is a problem."""
    try:
        said = check()
    except RecorderError as error:
        return Finding(subject, PROBLEM, str(error))
    except (OSError, sqlite3.Error) as error:
        return Finding(subject, PROBLEM, f"{error}; check the path and its permissions.")
    return said if isinstance(said, Finding) else Finding(subject, OK, said)


def _file(url: str, path: Path) -> str:
    """Whether a run can write to the file, or make it."""
    with explained(url):
        if path.exists():
            is_new = _is_empty(url)
            if not is_new:
                migrate.require_current(open_engine(url, read_only=True))
            try:
                with sole_writer(url):
                    pass
            except DatabaseBusy:
                return f"{path}: a recorder is writing to it now"
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.rollback()
            return f"{path} is empty: the first run makes its tables" if is_new else f"{path}: its schema is current"
        sqlite.require_folder(path)
        # A write-ahead log does not work on every file system, and the first run would be the one to notice.
        with tempfile.TemporaryDirectory(prefix=".recorder-", dir=path.absolute().parent) as folder:
            engine = open_engine(f"sqlite:///{folder}/try.db")
            with engine.connect() as connection:
                sqlite.prepare_new(connection)
        return f"{path} does not exist yet: the first run makes it"


def _is_empty(url: str) -> bool:
    """Whether a file that exists has no tables yet."""
    with open_engine(url, read_only=True).connect() as connection:
        return migrate.require_known(connection) is None


def _disk(url: str, path: Path) -> Finding | str:
    """Whether there is room, and for how long at the rate of the record so far."""
    free = shutil.disk_usage(path.absolute().parent).free
    room = f"{free / 2**30:,.1f} GiB free"
    days = _days_left(url, free) if path.exists() and not _is_empty(url) else None
    if days is not None:
        room += f", enough for {days:,.0f} days at the rate of the record so far"
    if free < FREE_BYTES_MIN / 10:
        return Finding("disk", PROBLEM, f"only {room}: make room, or name a database on another disk.")
    if free < FREE_BYTES_MIN or (days is not None and days < FREE_DAYS_MIN):
        return Finding("disk", WARNING, f"only {room}: make room, or name a database on another disk.")
    return room


def _days_left(url: str, free: int) -> float | None:
    """For how many days there is room; None: the record is too young to tell."""
    with open_record(url) as record:
        status = record.status()
    begins_ns = min((one.coverage.begins_ns for one in status.accounts if one.coverage.begins_ns), default=None)
    if begins_ns is None:
        return None
    days = (Clock().wall_ns() - begins_ns) / _DAY_NS
    return free / status.size_bytes * days if days >= GROWTH_DAYS_MIN and status.size_bytes else None


def _server(url: str) -> str:
    """Whether the server answers and accepts what a run sends."""
    with explained(url):
        engine = open_engine(url)
        with engine.connect() as connection:
            is_new = migrate.require_known(connection) is None
            connection.rollback()
            if not is_new:
                require_rights(connection, place(url))
        if is_new:
            return f"{place(url)} answers and is empty: the first run makes its tables"
        migrate.require_current(engine)
    return f"{place(url)} answers, its schema is current, and this user has all rights it needs"


def _account(account: Account, limits: Limits) -> Iterator[Finding]:
    """Whether the exchange answers, agrees about the time, and accepts the credentials."""
    clock = Clock()
    with closing(client_of(account, limits, clock)) as client:
        for check, fine in (
            (check_clock, f"{account.url} answers, and this machine's clock agrees with it"),
            (check_rights, "no problem with the credentials was found"),
        ):
            try:
                warnings = check(account, client, clock)
            except RecorderError as error:
                yield Finding(account.name, PROBLEM, str(error))
                return
            yield from (Finding(account.name, WARNING, f"{warning}.") for warning in warnings)
            if not warnings:
                yield Finding(account.name, OK, fine)
    for stream in account.streams:
        yield _checked(account.label(stream.name), partial(_stream, account, limits, clock, stream))


def _stream(account: Account, limits: Limits, clock: Clock, stream: Stream) -> str:
    """Whether a connection can be made. It is closed before anything is subscribed to."""
    with closing(Wake()) as wake:
        Connector(account, stream, wake, clock, limits, wake.set).connect().close()
    return f"{stream.url} accepts connections"
