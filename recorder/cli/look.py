"""The commands that show what the record holds: orders, fills, positions, balances, gaps, discrepancies, timeline."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from recorder.cli import options
from recorder.cli.output import Column, Layout, number, plain, show, time_ms, time_ns, word
from recorder.clock import NS_PER_MS, NS_PER_S, utc_text
from recorder.errors import ConfigurationError
from recorder.read.records import Balance, Discrepancy, Fill, Filter, Gap, Order, Position
from recorder.venues.reading import printable

if TYPE_CHECKING:
    from recorder.read.coverage import InstantCoverage
    from recorder.read.record import AsOf, Record


def _own_time(state: Order | Position | Balance) -> str:
    at_ms = state.event_ms if state.updated_ms is None else state.updated_ms
    return utc_text(state.received_ns if at_ms is None else at_ms * NS_PER_MS)


ACCOUNT = word("account", if_it_differs=True)
#: The venue's time of the state; the time of receipt where it gives none.
TIME = Column("event_ms", "time (UTC)", _own_time)
POSITION_SIDE = word("position_side", if_any=True, rank=1)
ORDER_COLUMNS = [
    TIME,
    ACCOUNT,
    word("order_id", rank=1),
    word("market", if_it_differs=True, rank=3),
    word("symbol"),
    word("side"),
    POSITION_SIDE,
    word("order_type", "type", rank=3),
    Column("status", "status", lambda order: printable(order.status or order.venue_status or ""), is_word=True),
    number("quantity"),
    number("price"),
    number("filled_quantity", "filled", rank=1),
    number("average_price", rank=2),
    number("fee", rank=4),
]
FILL_COLUMNS = [
    time_ms("at_ms", "time (UTC)"),
    ACCOUNT,
    word("order_id", rank=2),
    word("trade_id", if_any=True, rank=5),
    word("market", if_it_differs=True, rank=3),
    word("symbol"),
    word("side"),
    POSITION_SIDE,
    number("quantity"),
    Column(
        "price",
        "price",
        lambda fill: "~" * (fill.price_is_estimate and fill.price is not None) + plain(fill.price),
        right=True,
    ),
    number("fee", rank=1),
    word("fee_currency", "currency", rank=3),
    word("origin", if_it_differs=True, rank=4),
]
POSITION_COLUMNS = [
    TIME,
    ACCOUNT,
    word("market", if_it_differs=True, rank=3),
    word("symbol"),
    POSITION_SIDE,
    number("quantity"),
    number("entry_price", rank=1),
    number("leverage", rank=3),
    number("margin", rank=4),
    number("unrealized_pnl", if_any=True, rank=6),
    number("realized_pnl", rank=2),
    number("liquidation_price", rank=5),
]
BALANCE_COLUMNS = [
    TIME,
    ACCOUNT,
    word("wallet", if_any=True),
    word("currency"),
    number("balance"),
    number("available", rank=1),
    number("locked", rank=2),
    number("position_margin", if_any=True, rank=3),
]
GAP_COLUMNS = [
    number("gap_id", "gap"),
    time_ns("begins_ns", "begins (UTC)", "before the record"),
    time_ns("ends_ns", "ends (UTC)", "not ended"),
    ACCOUNT,
    Column("topic", "topic", lambda gap: gap.topic or f"all {gap.stream}".rstrip(), rank=1),
    word("reason"),
    word("state"),
    word("detail", rank=3, is_prose=True),
    word("resolution", rank=2, is_prose=True),
]
DISCREPANCY_COLUMNS = [
    time_ns("found_ns", "found (UTC)"),
    ACCOUNT,
    word("subject"),
    word("field"),
    Column("told", "venue", lambda found: "nothing" if found.told is None else plain(found.told)),
    Column("held", "record", lambda found: "nothing" if found.held is None else plain(found.held)),
]
TIMELINE_COLUMNS = [
    time_ns("received_ns", "received (UTC)"),
    ACCOUNT,
    word("kind"),
    word("subject"),
    word("event", is_prose=True),
    word("side", rank=2),
    number("quantity"),
    number("price", rank=1),
    number("amount", rank=3),
]


class _Shown(NamedTuple):
    """What a command shows."""

    #: As in "No orders here yet".
    things: str
    columns: Sequence[Column]
    fields: tuple[str, ...]
    #: Whether only the rows that are shown are read, so that it takes the same time for a record of any length.
    only_newest: bool = False


ORDER_UPDATES = _Shown("orders", ORDER_COLUMNS, Order._fields)
ORDERS = ORDER_UPDATES._replace(only_newest=True)
FILLS = _Shown("fills", FILL_COLUMNS, Fill._fields, only_newest=True)
POSITIONS = _Shown("positions", POSITION_COLUMNS, Position._fields)
BALANCES = _Shown("balances", BALANCE_COLUMNS, Balance._fields)
GAPS = _Shown("gaps", GAP_COLUMNS, Gap._fields)
DISCREPANCIES = _Shown("discrepancies", DISCREPANCY_COLUMNS, Discrepancy._fields)


def _show(
    shown: _Shown,
    read: "Callable[[Record, Filter], Iterable[Any]]",
    at: options.RecordAddress,
    wanted: Filter,
    layout: Layout,
) -> None:
    with at.opened(wanted) as record:
        _print(shown, read(record, wanted), wanted, layout)


def _print(shown: _Shown, rows: Iterable[Any], wanted: Filter, layout: Layout) -> None:
    nothing = options.nothing(shown.things, wanted)
    show(rows, shown.columns, layout, nothing, shown.fields, only_newest=shown.only_newest)


def _show_as_of(
    shown: _Shown,
    read: "Callable[[Record | AsOf, Filter], Iterable[Any]]",
    at: options.RecordAddress,
    wanted: Filter,
    layout: Layout,
    as_of: int | None,
) -> None:
    """Show what is known now, or what was known at an instant and whether the record covers it."""
    if as_of is not None and wanted.until_ns is not None:
        raise click.UsageError("--as-of and --until both set the end of the period; give one of them.")
    if as_of is None:
        _show(shown, read, at, wanted, layout)
        return
    with at.opened(wanted) as record:
        then = record.as_of(as_of)
        _print(shown, read(then, wanted), wanted, layout)
        show_coverage(then, wanted, layout)


@click.command(
    help="Show the latest state of each order; with --history every update, with --open only orders that can still "
    "change.\n\n"
    "\b\nExample:  recorder orders --symbol BTC-USDT-SWAP --since 7d\n"
    "          recorder orders --open --as-of 2020-02-04T12:00:00Z"
)
@options.record_address
@options.filters()
@options.as_of
@click.option("--history", is_flag=True, help="Show every update, in the order of receipt.")
@click.option("--open", "only_open", is_flag=True, help="Show only orders that can still change.")
@options.layout
def orders(history: bool, only_open: bool, **asked: Any) -> None:
    """Show orders."""
    if history and only_open:
        raise click.UsageError("--history shows every update, --open the latest of open orders; give one of them.")
    if history:
        _show_as_of(ORDER_UPDATES, lambda record, wanted: record.order_history(wanted), **asked)
    elif only_open:
        _show_as_of(ORDER_UPDATES, lambda record, wanted: record.open_orders(wanted), **asked)
    else:
        _show_as_of(ORDERS, lambda record, wanted: record.orders(wanted, asked["layout"].newest), **asked)


@click.command(
    help="Show the trade history: each fill once. The executions that a venue reports are the fills. Where it reports "
    "none, they are derived from successive updates of an order: quantity and fee are exact, and so is the price of "
    "the first fill of an order. The price of a later one is an estimate from two averages, marked with ~.\n\n"
    "\b\nExample:  recorder fills --symbol BTC-USDT-SWAP --since 2020-02-01 --format csv > fills.csv"
)
@options.record_address
@options.filters()
@options.as_of
@options.layout
def fills(**asked: Any) -> None:
    """Show fills."""
    _show_as_of(FILLS, lambda record, wanted: record.fills(wanted, asked["layout"].newest), **asked)


@click.command(
    help="Show the latest state of each position; with --history every state.\n\n"
    "\b\nExample:  recorder positions --as-of 2020-02-04T12:00:00Z\n"
    "          recorder positions --history --symbol BTC-USDT-SWAP --limit 20"
)
@options.record_address
@options.filters()
@options.as_of
@click.option("--history", is_flag=True, help="Show every state, in the order of receipt.")
@options.layout
def positions(history: bool, **asked: Any) -> None:
    """Show positions."""
    if history:
        _refuse_as_of(asked.pop("as_of"), "--history shows every state")
        _show(POSITIONS, lambda record, wanted: record.position_history(wanted), **asked)
    else:
        _show_as_of(POSITIONS, lambda record, wanted: record.positions(wanted), **asked)


@click.command(
    help="Show the latest balance of each currency; with --history every balance, with --plot a chart of them, in "
    "which gaps of the record are grey.\n\n"
    "\b\nExample:  recorder balances --account main --format json\n"
    "          recorder balances --as-of 2020-02-04T12:00:00Z\n"
    "          recorder balances --since 30d --plot balance.svg"
)
@options.record_address
@options.filters(symbol=False)
@options.as_of
@click.option("--history", is_flag=True, help="Show every balance, in the order of receipt.")
@options.file("--plot", "plot", "Draw the balances over time into this SVG file.", metavar="FILE.svg")
@options.layout
def balances(history: bool, plot: Path | None, **asked: Any) -> None:
    """Show balances, or draw them."""
    if plot is not None:
        _refuse_as_of(asked["as_of"], "--plot draws every balance")
        _plot(plot, asked["at"], asked["wanted"])
    elif history:
        _refuse_as_of(asked.pop("as_of"), "--history shows every balance")
        _show(BALANCES, lambda record, wanted: record.balance_history(wanted), **asked)
    else:
        _show_as_of(BALANCES, lambda record, wanted: record.balances(wanted), **asked)


def _plot(file: Path, at: options.RecordAddress, wanted: Filter) -> None:
    from recorder.cli.charts import plot_balances  # noqa: PLC0415  only a chart needs it

    with at.opened(wanted) as record:
        drawn = plot_balances(record.balance_history(wanted), list(record.gaps(wanted)), file)
    click.echo(f"{drawn:,} balances drawn into {file}." if drawn else options.nothing("balances", wanted))


def _refuse_as_of(as_of: int | None, why: str) -> None:
    if as_of is not None:
        raise click.UsageError(f"{why}, --as-of one instant; give one of them.")


@click.command(
    help="Show the periods in which pushes may have been missed, why, and what became of them. Every record begins "
    "with one: the time before it.\n\n"
    "\b\nExample:  recorder gaps --since 24h"
)
@options.record_address
@options.filters()
@options.layout
def gaps(**asked: Any) -> None:
    """Show gaps."""
    _show(GAPS, lambda record, wanted: record.gaps(wanted), **asked)


@click.command(
    help="Show where two sources contradict each other outside any known gap: the venue's REST interface, which is "
    "asked from time to time, and its pushes; or two recorders of one account, of which only one received a push.\n\n"
    "\b\nExample:  recorder discrepancies --since 7d"
)
@options.record_address
@options.filters()
@options.layout
def discrepancies(**asked: Any) -> None:
    """Show discrepancies."""
    _show(DISCREPANCIES, lambda record, wanted: record.discrepancies(wanted), **asked)


@click.command(
    help="Show everything that happened, in the order of receipt: orders, fills, positions, balances and "
    "transactions, and the recorder's own sessions, gaps and reconciliations. Quantity is how much of an order is "
    "filled, or the size of a position; amount is the fee of an order, the realized PnL of a position, a balance, or "
    "the amount of a transaction.\n\n"
    "\b\nExample:  recorder timeline --order 849758102002\n"
    "          recorder timeline --gap 2 --around 30s"
)
@options.record_address
@options.filters()
@click.option("--order", "order_id", metavar="ID", help="Only this order, by its order_id.")
@click.option(
    "--gap", "gap_id", type=int, metavar="N", help="Only the time around this gap: its number in `recorder gaps`."
)
@click.option(
    "--around",
    "around_s",
    type=options.Duration(),
    default=10.0,
    show_default="10s",
    help="With --gap: how much time before and after it.",
)
@options.layout
def timeline(
    at: options.RecordAddress,
    layout: Layout,
    order_id: str | None,
    gap_id: int | None,
    around_s: float,
    wanted: Filter,
) -> None:
    """Show everything that happened."""
    from recorder.read.timeline import TimelineEvent  # noqa: PLC0415  help texts need no database

    wanted = wanted._replace(order_id=order_id)
    nothing = options.nothing("events", wanted)
    with at.opened(wanted) as record:
        if gap_id is not None:
            wanted = _around(record, gap_id, int(around_s * NS_PER_S), wanted)
        show(record.timeline(wanted), TIMELINE_COLUMNS, layout, nothing, TimelineEvent._fields)


def _around(record: "Record", gap_id: int, around_ns: int, wanted: Filter) -> Filter:
    """The same filter, for the time around a gap."""
    found = [gap for gap in record.gaps(Filter(wanted.account)) if gap.gap_id == gap_id]
    if len(found) != 1:
        why = "Several accounts have a" if found else "There is no"
        what = "name one with --account" if found else "`recorder gaps` shows the numbers"
        raise ConfigurationError(f"{why} gap {gap_id} here; {what}.")
    (gap,) = found
    begins_ns = gap.ends_ns if gap.begins_ns is None else gap.begins_ns
    return wanted._replace(
        account=gap.account,
        since_ns=None if begins_ns is None else begins_ns - around_ns,
        until_ns=None if gap.ends_ns is None else gap.ends_ns + around_ns,
    )


def show_coverage(as_of: "AsOf", wanted: Filter, layout: Layout) -> None:
    """Say of each account whether an instant was covered: below a table; beside CSV and JSON on standard error."""
    now_ns = time.time_ns()
    for moment in as_of.coverage(wanted):
        click.echo(sentence(moment, now_ns), err=not layout.is_table)


def sentence(moment: "InstantCoverage", now_ns: int) -> str:
    """Say whether an account was covered at an instant.

    Args:
        moment: the account's coverage at the instant.
        now_ns: the present, ns since 1970.
    """
    parts = [f"{moment.account}: {utc_text(moment.at_ns)} UTC {_coverage(moment, now_ns)}"]
    parts += [f"topic {gap.topic} was not covered {_gap(gap)}" for gap in moment.topic_gaps]
    return "; ".join(parts) + "."


def _coverage(moment: "InstantCoverage", now_ns: int) -> str:
    from recorder.read.coverage import AFTER, BEFORE, COVERED  # noqa: PLC0415  help texts need no database

    last_ns = moment.last_frame_ns
    last = f"the last frame was received at {utc_text(last_ns)}" if last_ns else "no frame was received yet"
    if moment.at_ns > now_ns:
        return f"is in the future; this is what is known now ({last})"
    if moment.state == COVERED:
        return "was covered"
    if moment.state == BEFORE:
        if moment.gap is None or moment.gap.ends_ns is None:
            return f"was not covered: no session had all its topics acknowledged yet ({last})"
        return f"is before the record, which begins at {utc_text(moment.gap.ends_ns)}"
    if moment.state == AFTER:
        return f"is after the record: {last}" + (f" ({moment.gap.reason})" if moment.gap else "")
    assert moment.gap is not None
    return f"is in a gap {_gap(moment.gap)}"


def _gap(gap: Gap) -> str:
    begins = f"since {utc_text(gap.begins_ns)}" if gap.begins_ns is not None else "since before the record"
    ends = f"until {utc_text(gap.ends_ns)}" if gap.ends_ns is not None else "not ended"
    return f"{begins}, {ends} ({gap.reason}), {gap.state}" + (f": {gap.resolution}" if gap.resolution else "")
