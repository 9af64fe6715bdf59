"""The commands that look at a record."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from recorder.cli import options
from recorder.cli.moment import show_coverage
from recorder.cli.output import Column, json_line, number, plain, show, stdout_console, time_ms, word
from recorder.clock import NS_PER_S, utc_text
from recorder.read.record import Filter, Record
from recorder.read.records import AccountStatus, Discrepancy, Fill, Gap, Order, Position, Run, Status
from recorder.read.state.as_of import AsOf

#: The exchange's time of the push; of a REST answer, which has none, the time of receipt.
TIME = time_ms("ts", "time (UTC)", otherwise_ns="received_ns")
ORDER_COLUMNS = [
    TIME,
    word("account", if_it_differs=True),
    number("order_id"),
    word("symbol"),
    word("direction"),
    word("order_type", "type"),
    word("status"),
    number("quantity"),
    number("price"),
    number("unfilled_quantity", "unfilled"),
    number("fill_price"),
    number("fee"),
]
FILL_COLUMNS = [
    time_ms("at_ms", "time (UTC)"),
    word("account", if_it_differs=True),
    number("order_id"),
    word("symbol"),
    word("direction"),
    number("quantity"),
    Column(
        "price", lambda fill: "~" * (fill.price_is_estimate and fill.price is not None) + plain(fill.price), right=True
    ),
    number("fee"),
    word("fee_currency", "currency"),
    word("origin", if_it_differs=True),
]
POSITION_COLUMNS = [
    TIME,
    word("account", if_it_differs=True),
    word("symbol"),
    word("direction"),
    number("quantity"),
    number("entry_price"),
    number("leverage"),
    number("margin"),
    number("realized_pnl"),
    number("liquidation_price"),
]
BALANCE_COLUMNS = [
    TIME,
    word("account", if_it_differs=True),
    word("currency"),
    number("available"),
    number("frozen"),
    number("position_margin"),
]
GAP_COLUMNS = [
    number("gap_id", "gap"),
    Column("begins (UTC)", lambda gap: utc_text(gap.begins_ns) or "before the record"),
    Column("ends (UTC)", lambda gap: utc_text(gap.ends_ns) or "lasts"),
    word("account", if_it_differs=True),
    Column("topic", lambda gap: gap.topic or "all"),
    word("reason"),
    word("state"),
    word("detail"),
    word("resolution"),
]

DISCREPANCY_COLUMNS = [
    Column("found (UTC)", lambda found: utc_text(found.found_ns)),
    word("account", if_it_differs=True),
    word("subject"),
    word("field"),
    Column("told", lambda found: "nothing" if found.told is None else found.told),
    Column("held", lambda found: "nothing" if found.held is None else found.held),
]


def _command(
    name: str,
    example: str,
    help_text: str,
    columns: list[Column],
    things: str,
    row_type: Any,
    read: Callable[[Record, Filter], Iterable[Any]],
    read_history: Callable[[Record, Filter], Iterable[Any]] | None = None,
    read_as_of: Callable[[AsOf, Filter], Iterable[Any]] | None = None,
) -> click.Command:
    """A command that shows what one read of the record gives.

    Where there is one, also with --history every state, and with --as-of what was known at an instant.
    """

    @options.database
    @options.filters
    @options.output_format
    def command(
        database: str | None,
        config: Path | None,
        form: str,
        history: bool = False,
        as_of: int | None = None,
        **filters: Any,
    ) -> None:
        wanted = options.filter_of(filters)
        options.refuse_two_ends(as_of, wanted.until_ns)
        with options.opened(database, config, wanted) as record:
            if as_of is None or read_as_of is None:
                chosen = read_history if history and read_history else read
                show(chosen(record, wanted), columns, form, options.nothing(things, wanted), row_type._fields)
                return
            if history:
                raise click.UsageError("--as-of is one instant, --history all of them: leave one away.")
            then = record.as_of(as_of)
            show(read_as_of(then, wanted), columns, form, options.nothing(things, wanted), row_type._fields)
            show_coverage(then, wanted, form)

    if read_history:
        command = click.option("--history", is_flag=True, help="Every state, in the order of receipt.")(command)
    made = click.command(name, help=f"{help_text}\n\n\b\nExample:  {example}")
    return made(command if read_as_of is None else options.as_of(command))


fills = _command(
    "fills",
    "recorder fills --symbol btcusd_p --since 2020-02-01 --format csv > fills.csv",
    "Trade history: every step in which an order filled further, derived from its successive updates. Quantity and fee "
    "are exact; the price of an order's first step is certain, a later one (~) is an estimate from two averages.",
    FILL_COLUMNS,
    "fills",
    Fill,
    Record.fills,
    read_as_of=AsOf.fills,
)
positions = _command(
    "positions",
    "recorder positions --as-of 2020-02-04T12:00:00Z",
    "The latest state of each position; with --history every state of each.",
    POSITION_COLUMNS,
    "positions",
    Position,
    Record.positions,
    Record.position_history,
    AsOf.positions,
)
gaps = _command(
    "gaps",
    "recorder gaps --since 24h",
    "The stretches in which pushes may have been missed, and why. A record begins with one: what was before it.",
    GAP_COLUMNS,
    "gaps",
    Gap,
    Record.gaps,
)

discrepancies = _command(
    "discrepancies",
    "recorder discrepancies --since 7d",
    "Where two sources contradict each other outside any known gap: the exchange's REST interface, asked every so "
    "often, and its pushes; or two recorders of one account, of which one saw a push that the other did not.",
    DISCREPANCY_COLUMNS,
    "discrepancies",
    Discrepancy,
    Record.discrepancies,
)


@click.command(
    help="The latest state of each order; with --history every update of each, with --open only those that can still "
    "change.\n\n"
    "\b\nExample:  recorder orders --symbol btcusd_p --since 7d\n"
    "          recorder orders --open --as-of 2020-02-04T12:00:00Z"
)
@options.database
@options.filters
@options.as_of
@options.output_format
@click.option("--history", is_flag=True, help="Every update, in the order of receipt.")
@click.option("--open", "only_open", is_flag=True, help="Only orders that have not come to their end.")
def orders(
    database: str | None,
    config: Path | None,
    form: str,
    as_of: int | None,
    history: bool,
    only_open: bool,
    **filters: Any,
) -> None:
    """The latest state of each order, or all of them."""
    if history and only_open:
        raise click.UsageError("--history shows every update, --open the latest of open orders; give one of them.")
    wanted = options.filter_of(filters)
    options.refuse_two_ends(as_of, wanted.until_ns)
    with options.opened(database, config, wanted) as record:
        then = record if as_of is None else record.as_of(as_of)
        read = then.order_history if history else then.open_orders if only_open else then.orders
        show(read(wanted), ORDER_COLUMNS, form, options.nothing("orders", wanted), Order._fields)
        if isinstance(then, AsOf):
            show_coverage(then, wanted, form)


@click.command(
    help="The record at a glance: the last run, each account's session and coverage, and what could not be decoded.\n\n"
    "\b\nExample:  recorder status --format json"
)
@options.database
@click.option(
    "--format",
    "form",
    type=click.Choice(("table", "json")),
    default="table",
    show_default=True,
    help="As text, or as one JSON object.",
)
def status(database: str | None, config: Path | None, form: str) -> None:
    """The record at a glance."""
    with options.opened(database, config) as record:
        told = record.status()
    if form == "json":
        click.echo(json_line(told))
    else:
        show_status(told)


def show_status(told: Status) -> None:
    """Print a status for people."""
    console = stdout_console()
    console.print(f"{escape(told.database)}: {told.frames:,} frames, {told.size_bytes / 2**20:,.1f} MiB")
    console.print(f"last run: {_run_words(told.last_run)}")
    for account in told.accounts:
        console.print(f"\n[bold]{escape(account.account)}[/bold] ({escape(account.venue)})")
        for line in _account_lines(account):
            console.print(f"  {escape(line)}")


def _run_words(run: Run | None) -> str:
    if run is None:
        return "none yet"
    began = f"began {utc_text(run.started_ns)} UTC on {run.host}"
    if run.ended_ns is None:
        return f"{began}, and has not ended (process {run.pid})"
    return f"{began}, ended {utc_text(run.ended_ns)} UTC: {run.end_reason}"


def _account_lines(account: AccountStatus) -> list[str]:
    coverage = account.coverage
    lines = [f"recorders    {account.recorders}"] if account.recorders > 1 else []
    lines += [
        f"sessions     {account.sessions}, the latest: {account.session}",
        f"last frame   {utc_text(account.last_frame_ns) or 'none yet'}",
    ]
    if coverage.begins_ns is None or coverage.until_ns is None:
        lines.append("coverage     none yet: no session has had all its topics acknowledged")
    else:
        whole_ns = coverage.until_ns - coverage.begins_ns
        share = f"{100 * coverage.covered_ns / whole_ns:.3f} %" if whole_ns else "all"
        lasts = " (one is going on)" if coverage.in_gap else ""
        lines.append(f"coverage     {share} of {whole_ns / NS_PER_S:,.1f} s since {utc_text(coverage.begins_ns)}")
        lines.append(f"gaps since   {coverage.gaps}{lasts}")
    found = account.discrepancies
    lines.append(f"contradicted {found}" + (" (recorder discrepancies tells where)" if found else ""))
    lines.append(f"undecoded    {account.undecoded}" + (" (kept verbatim in frames)" if account.undecoded else ""))
    return lines
