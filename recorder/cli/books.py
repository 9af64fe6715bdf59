"""`recorder books`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from recorder.cli import options
from recorder.cli.output import Column, number, plain, show, stdout_console, word
from recorder.cli.transfers import read_transfers
from recorder.clock import utc_text
from recorder.read.books.reading import Watch
from recorder.read.books.transfers import NamedTransfers
from recorder.read.record import Filter
from recorder.read.records import Book, Unexplained
from recorder.store.engine import is_file

COLUMNS = [
    Column("begins (UTC)", lambda book: utc_text(book.begins_ns)),
    Column("ends (UTC)", lambda book: utc_text(book.ends_ns)),
    word("account", if_it_differs=True),
    word("currency"),
    number("begin_balance"),
    number("end_balance"),
    number("change"),
    number("realized_pnl"),
    number("fees"),
    number("transfers"),
    number("unexplained"),
    number("unsettled"),
]
CHANGE_COLUMNS = [
    Column("received (UTC)", lambda change: utc_text(change.received_ns)),
    word("account", if_it_differs=True),
    word("currency"),
    number("amount"),
    word("session_id", "session"),
    word("seq"),
]


@click.command(
    help="The books of each account and currency, a row for each stretch of full coverage: what the balance changed "
    "by, and what explains it. change = realized PnL - fees + transfers + unexplained, exact to the last digit. What "
    "is unsettled was on its way when the stretch ended. Each change that nothing explains is named with its frame; "
    "where there is one, the exit code is 1.\n\n"
    "Deposits and withdrawals are not pushed as such. Name those that are known in a CSV file of account, currency, "
    "time and amount (negative for a withdrawal), and they are taken out of what is unexplained: those of the same "
    "amount within a day.\n\n"
    "\b\nExample:  recorder books --since 2020-02-01 --until 2020-03-01 --transfers transfers.csv"
)
@options.database
@click.option("--account", help="Only this account, by its name in the configuration.")
@click.option(
    "--since",
    "since_ns",
    type=options.Instant(),
    help="Only what was received since: 2020-02-04, 2020-02-04T07:40:53Z, or 2h (ago).",
)
@click.option("--until", "until_ns", type=options.Instant(), help="Only what was received before; as --since.")
@click.option(
    "--transfers",
    "file",
    type=click.Path(path_type=Path),
    help="A CSV file of known transfers: account,currency,time,amount.",
)
@click.option(
    "--unexplained", "only_changes", is_flag=True, help="Show the changes that nothing explains, not the rows."
)
@options.output_format
@click.pass_context
def books(
    ctx: click.Context,
    database: str | None,
    config: Path | None,
    account: str | None,
    since_ns: int | None,
    until_ns: int | None,
    file: Path | None,
    only_changes: bool,
    form: str,
) -> None:
    """The books."""
    named = NamedTransfers(read_transfers(file) if file else ())
    wanted = Filter(account, None, since_ns, until_ns)
    url = options.database_url(database, config)
    with options.opened(database, config, wanted) as record, _progress() as watch:
        kept = list(record.books(wanted, named, watch))
    changes = [change for book in kept for change in book.changes]
    if only_changes:
        show(changes, CHANGE_COLUMNS, form, "Nothing is unexplained.", Unexplained._fields)
    elif form == "csv":
        # The changes are rows of their own: --unexplained.
        show([book[:-1] for book in kept], COLUMNS, form, "", Book._fields[:-1])
    else:
        show(kept, COLUMNS, form, "No stretch of full coverage here yet.")
        if form == "table":
            _show_changes(kept, changes, "CAST(payload AS TEXT)" if is_file(url) else "convert_from(payload, 'UTF8')")
    for transfer in named.left:
        click.echo(
            f"Not found: the transfer of {plain(transfer.amount)} {transfer.currency} on {transfer.account} about "
            f"{utc_text(transfer.at_ns)}; it may lie in a gap, or its amount be another.",
            err=True,
        )
    ctx.exit(int(any(book.found or book.unexplained for book in kept)))


def _show_changes(kept: list[Book], changes: list[Unexplained], payload: str) -> None:
    found = sum(book.found for book in kept)
    if not found:
        return
    console = stdout_console()
    more = f", of which {len(changes):,} are named" if found > len(changes) else ""
    console.print(f"\n[bold]Unexplained[/bold]: {found:,} changes{more}. To look at what was received there:")
    first = changes[0]
    around = f"session_id = {first.session_id} AND seq BETWEEN {max(first.seq - 5, 0)} AND {first.seq + 5}"
    console.print(f"  SELECT seq, {payload} FROM frames WHERE {around} ORDER BY seq\n")
    show(changes, CHANGE_COLUMNS, "table", "")


@contextmanager
def _progress() -> Iterator[Watch]:
    """A bar on a terminal."""
    console = Console(stderr=True)
    columns = TextColumn("keeping the books"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda part: bar.update(task, completed=part)
