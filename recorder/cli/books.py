"""`recorder transactions`; `recorder books`, and the file of known transfers that it reads."""

import csv
import time
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from recorder.cli import options
from recorder.cli.output import Column, Layout, heading, number, plain, show, time_ms, time_ns, word
from recorder.cli.progress import bar
from recorder.clock import instant_ns, utc_text
from recorder.errors import ConfigurationError
from recorder.read.books.books import NamedTransfers
from recorder.read.records import Book, Filter, Transfer, Unexplained
from recorder.store.engine import is_file

#: The columns of a file of transfers.
TRANSFER_HEAD = ("account", "currency", "time", "amount")
#: The longest amount, and its largest exponent: the decoder's limits, within which sums are exact.
_CHARACTERS_MAX = 100
_EXPONENT_MAX = 99


def _unless_zero(field: str, rank: int) -> Column:
    """A column of amounts that is left out where all are zero."""
    return Column(field, field, lambda row: plain(getattr(row, field) or None), right=True, if_any=True, rank=rank)


COLUMNS = [
    time_ns("begins_ns", "begins (UTC)"),
    time_ns("ends_ns", "ends (UTC)", rank=1),
    word("account", if_it_differs=True),
    word("wallet", if_any=True),
    word("currency"),
    number("begin_balance", rank=3),
    number("end_balance", rank=3),
    number("change"),
    number("realized_pnl", rank=2),
    number("fees", rank=1),
    _unless_zero("funding", rank=1),
    _unless_zero("other", rank=2),
    number("transfers", rank=1),
    number("unexplained"),
    number("unsettled", rank=4),
]
TRANSACTION_COLUMNS = [
    time_ms("at_ms", "time (UTC)"),
    word("account", if_it_differs=True),
    word("type"),
    word("venue_type", rank=4),
    word("wallet", if_it_differs=True, rank=2),
    word("currency"),
    number("amount"),
    number("fee", if_any=True, rank=1),
    number("balance_after", if_any=True, rank=2),
    word("market", if_it_differs=True, rank=5),
    word("symbol", if_any=True, rank=1),
    word("trade_id", if_any=True, rank=6),
    word("transaction_id", if_any=True, rank=7),
]
CHANGE_COLUMNS = [
    time_ns("received_ns", "received (UTC)"),
    word("account", if_it_differs=True),
    word("wallet", if_any=True),
    word("currency"),
    number("amount"),
    word("cause", if_any=True, is_prose=True),
    word("session_id", "session"),
    word("seq"),
]


@click.command(
    help="Show the transactions: every movement of money that the venue's own ledger lists, such as fees, funding, "
    "transfers, deposits and withdrawals, each once. `recorder books` checks that they explain every change of a "
    "balance.\n\n"
    "\b\nExample:  recorder transactions --since 30d --format csv > transactions.csv"
)
@options.record_address
@options.filters()
@options.layout
def transactions(at: options.RecordAddress, wanted: Filter, layout: Layout) -> None:
    """Show transactions."""
    from recorder.read.transactions import Transaction  # noqa: PLC0415  help texts need no database

    with at.opened(wanted) as record:
        rows, nothing = record.transactions(wanted, layout.newest), options.nothing("transactions", wanted)
        show(rows, TRANSACTION_COLUMNS, layout, nothing, Transaction._fields, only_newest=True)


@click.command(
    help="Check the books: for each account, currency and period without gaps, how the balance changed and what "
    "explains it. change = realized PnL - fees + funding + transfers + other + unexplained, exact to the last digit. "
    "What is unsettled was in progress when the period ended. Each unexplained change is listed with its frame, and "
    "the exit code is 1 if there is one.\n\n"
    "If the venue has a ledger, its transactions explain each wallet and currency, and its trades must be the recorded "
    "fills. Otherwise positions and orders explain each currency; deposits and withdrawals are then not known.\n\n"
    "List those that you know in a CSV file of account, currency, time and amount (negative for a withdrawal): an "
    "unexplained change of the same amount within a day then counts as explained.\n\n"
    "\b\nExample:  recorder books --since 2020-02-01 --until 2020-03-01 --transfers transfers.csv"
)
@options.record_address
@options.filters(symbol=False)
@options.file("--transfers", "file", "A CSV file of known transfers: account,currency,time,amount.")
@click.option("--unexplained", "only_changes", is_flag=True, help="Show the unexplained changes, not the books.")
@options.layout
@click.pass_context
def books(
    ctx: click.Context,
    at: options.RecordAddress,
    wanted: Filter,
    file: Path | None,
    only_changes: bool,
    layout: Layout,
) -> None:
    """Check the books."""
    named = NamedTransfers(read_transfers(file) if file else ())
    with at.opened(wanted) as record, bar("checking the books") as advance:
        kept = list(record.books(wanted, named, lambda part: advance(int(1000 * part), 1000)))
        left_out = record.wallets_without_books(wanted)
        payload = "CAST(payload AS TEXT)" if is_file(record.url) else "convert_from(payload, 'UTF8')"
    changes = [change for book in kept for change in book.changes]
    if only_changes:
        show(changes, CHANGE_COLUMNS, layout, "Nothing is unexplained.", Unexplained._fields)
    else:
        # The changes are rows of their own (--unexplained); only JSON holds them in their book.
        fields = [name for name in Book._fields if layout.form == "json" or name != "changes"]
        show(kept, COLUMNS, layout, options.nothing("periods without gaps", wanted), fields)
        if layout.is_table:
            _show_changes(kept, changes, payload)
    for account, wallet in left_out:
        click.echo(f"No books are kept of wallet {wallet} of {account}: its venue documents too little.", err=True)
    for transfer in named.left:
        click.echo(
            f"Not found: the transfer of {plain(transfer.amount)} {transfer.currency} on {transfer.account} about "
            f"{utc_text(transfer.at_ns)}; it may be in a gap, or its amount may differ.",
            err=True,
        )
    ctx.exit(int(any(book.found or book.unexplained for book in kept)))


def _show_changes(kept: list[Book], changes: list[Unexplained], payload: str) -> None:
    found = sum(book.found for book in kept)
    if not found:
        return
    more = f", of which {len(changes):,} are listed" if found > len(changes) else ""
    click.echo(f"\n{heading('Unexplained')}: {found:,} changes{more}. To see what was received there:")
    first = changes[0]
    around = f"session_id = {first.session_id} AND seq BETWEEN {max(first.seq - 5, 0)} AND {first.seq + 5}"
    click.echo(f"  SELECT seq, {payload} FROM frames WHERE {around} ORDER BY seq\n")
    show(changes, CHANGE_COLUMNS, Layout(), "")


def read_transfers(path: Path) -> list[Transfer]:
    """Read the transfers in a CSV file. Its first line may be a header; empty lines are skipped.

    Raises:
        ConfigurationError: it cannot be read, or a line is not a transfer.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(_transfers(path, csv.reader(file)))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}; name another file of transfers.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path} is not a CSV file in UTF-8: {error}.") from None


def _transfers(path: Path, lines: Iterator[list[str]]) -> Iterator[Transfer]:
    now_ns = time.time_ns()
    for position, line in enumerate(lines, 1):
        fields = [field.strip() for field in line]
        if not any(fields) or (position == 1 and tuple(fields) == TRANSFER_HEAD):
            continue
        where = f"{path}, line {position}"
        if len(fields) != len(TRANSFER_HEAD) or not all(fields):
            raise ConfigurationError(
                f"{where}: write {','.join(TRANSFER_HEAD)}, such as main,BTC,2020-02-04T07:40:53Z,-0.5 for a "
                "withdrawal."
            )
        account, currency, at, amount = fields
        try:
            yield Transfer(account, currency, instant_ns(at, now_ns), _amount(amount))
        except ValueError as error:
            raise ConfigurationError(f"{where}: {error}.") from None


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount == 0 or len(text) > _CHARACTERS_MAX or abs(amount.adjusted()) > _EXPONENT_MAX:
        raise ValueError(f"{text[:40]!r} is not an amount; write for example 1.5, or -0.5 for a withdrawal")
    return amount
