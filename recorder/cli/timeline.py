"""`recorder timeline`: everything that happened, step by step."""

from pathlib import Path
from typing import Any

import click

from recorder.cli import options
from recorder.cli.output import Column, number, show, word
from recorder.clock import NS_PER_S, utc_text
from recorder.errors import ConfigurationError
from recorder.read.record import Filter, Record
from recorder.read.timeline import TimelineEvent

COLUMNS = [
    Column("received (UTC)", lambda event: utc_text(event.received_ns)),
    word("account", if_it_differs=True),
    word("kind"),
    word("subject"),
    word("event"),
    word("direction"),
    number("quantity"),
    number("price"),
    number("amount"),
]


@click.command(
    help="Everything that happened, in the order of receipt: orders, executions, positions, balances, and what the "
    "record knows of itself: sessions, gaps, rounds of questions. Quantity is what an order has filled, or a position "
    "holds; amount is an order's fee, a position's realized PnL, a balance's total.\n\n"
    "\b\nExample:  recorder timeline --order 849758102002\n"
    "          recorder timeline --gap 2 --around 30s"
)
@options.database
@options.filters
@options.output_format
@click.option("--order", "order_id", type=int, help="Only this order, from its first step to its last.")
@click.option("--gap", "gap_id", type=int, help="Only around this gap, by its number in `recorder gaps`.")
@click.option(
    "--around", "around_s", type=options.Duration(), default=10.0, show_default="10s", help="How far around the gap."
)
def timeline(
    database: str | None,
    config: Path | None,
    form: str,
    order_id: int | None,
    gap_id: int | None,
    around_s: float,
    **filters: Any,
) -> None:
    """Everything that happened."""
    wanted = options.filter_of(filters)
    with options.opened(database, config, wanted) as record:
        if gap_id is not None:
            wanted = _around(record, gap_id, int(around_s * NS_PER_S), wanted)
        events = record.timeline(wanted)
        if order_id is not None:
            subjects = {str(order_id), f"order {order_id}"}  # of itself and its executions; of discrepancies
            events = (one for one in events if one.subject in subjects)
        show(events, COLUMNS, form, options.nothing("events", wanted), TimelineEvent._fields)


def _around(record: Record, gap_id: int, around_ns: int, wanted: Filter) -> Filter:
    """What is wanted, but only around a gap."""
    found = [gap for gap in record.gaps(Filter(wanted.account)) if gap.gap_id == gap_id]
    if len(found) != 1:
        why = "Several accounts have" if found else "There is no"
        what = "name one with --account" if found else "`recorder gaps` shows the numbers"
        raise ConfigurationError(f"{why} gap {gap_id} here; {what}.")
    (gap,) = found
    begins_ns = gap.ends_ns if gap.begins_ns is None else gap.begins_ns
    return wanted._replace(
        account=gap.account,
        since_ns=None if begins_ns is None else begins_ns - around_ns,
        until_ns=None if gap.ends_ns is None else gap.ends_ns + around_ns,
    )
