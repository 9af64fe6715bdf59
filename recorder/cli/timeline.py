"""`recorder timeline`: everything that happened, step by step."""

from pathlib import Path

import click

from recorder.cli import options
from recorder.cli.output import Layout, number, show, time_ns, word
from recorder.clock import NS_PER_S
from recorder.errors import ConfigurationError
from recorder.read.record import Filter, Record
from recorder.read.timeline import TimelineEvent

COLUMNS = [
    time_ns("received_ns", "received (UTC)"),
    word("account", if_it_differs=True),
    word("kind"),
    word("subject"),
    word("event", is_prose=True),
    word("direction", rank=2),
    number("quantity"),
    number("price", rank=1),
    number("amount", rank=3),
]


@click.command(
    help="Show everything that happened, in the order of receipt: orders, fills, positions and balances, and the "
    "recorder's own sessions, gaps and reconciliations. Quantity is how much of an order is filled, or the size of a "
    "position; amount is the fee of an order, the realized PnL of a position, or the total of a balance.\n\n"
    "\b\nExample:  recorder timeline --order 849758102002\n"
    "          recorder timeline --gap 2 --around 30s"
)
@options.database
@options.filters()
@click.option("--order", "order_id", type=int, help="Only this order, from its first update to its last.")
@click.option("--gap", "gap_id", type=int, help="Only around this gap, by its number in `recorder gaps`.")
@click.option(
    "--around",
    "around_s",
    type=options.Duration(),
    default=10.0,
    show_default="10s",
    help="With --gap: the time before and after it.",
)
@options.layout
def timeline(
    database: str | None,
    config: Path | None,
    layout: Layout,
    order_id: int | None,
    gap_id: int | None,
    around_s: float,
    wanted: Filter,
) -> None:
    """Show everything that happened."""
    nothing = options.nothing("events", wanted)
    with options.opened(database, config, wanted) as record:
        if gap_id is not None:
            wanted = _around(record, gap_id, int(around_s * NS_PER_S), wanted)
        events = record.timeline(wanted)
        if order_id is not None:
            subjects = {str(order_id), f"order {order_id}"}  # of the order and its fills; of discrepancies
            events = (one for one in events if one.subject in subjects)
        show(events, COLUMNS, layout, nothing, TimelineEvent._fields)


def _around(record: Record, gap_id: int, around_ns: int, wanted: Filter) -> Filter:
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
