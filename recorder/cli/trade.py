"""Profit and loss, fees, funding and round trips."""

from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from recorder.cli import options
from recorder.cli.output import Column, Layout, number, show, time_ms, word
from recorder.read.records import Filter
from recorder.read.sums import BY_DAY, BY_MONTH, PERIODS, Calendar, Fees, Funding, Pnl
from recorder.read.trips import Trip
from recorder.venues.reading import printable

FEE_COLUMNS = [
    word("period"),
    word("account", if_it_differs=True),
    word("market", if_any=True, rank=2),
    word("symbol"),
    number("fills"),
    number("quantity"),
    number("fee"),
    number("paid", rank=3),
    number("rebates", rank=3),
    word("currency"),
    number("maker_quantity", "maker", rank=1),
    number("taker_quantity", "taker", rank=1),
    number("unknown_quantity", "unknown", rank=2),
]
PNL_COLUMNS = [
    word("period"),
    word("account", if_it_differs=True),
    word("market", if_any=True, rank=2),
    word("symbol"),
    number("realized_pnl"),
    number("fee", rank=1),
    number("funding", if_any=True, rank=1),
    number("net_pnl"),
    word("currency"),
    number("over_gaps", rank=2),
    number("fills", rank=4),
    number("quantity", rank=5),
]
FUNDING_COLUMNS = [
    word("period"),
    word("account", if_it_differs=True),
    word("market", if_any=True, rank=2),
    word("symbol"),
    number("payments", rank=1),
    number("amount"),
    number("received", rank=3),
    number("paid", rank=3),
    word("currency"),
]


def _other_currency(trip: Trip) -> str:
    """The currency of the fee, where it is not that of the profit."""
    return printable("" if trip.fee_currency == trip.currency else trip.fee_currency or "")


_ADDS_UP = {True: "", False: "no", None: "unknown"}
TRIP_COLUMNS = [
    time_ms("opened_ms", "opened (UTC)", "before the record"),
    time_ms("closed_ms", "closed (UTC)", "open", rank=1),
    word("account", if_it_differs=True),
    word("market", if_it_differs=True, rank=3),
    word("symbol"),
    word("position_side", if_any=True, rank=1),
    word("direction"),
    number("entry_quantity", "in", rank=2),
    number("entry_price", "at", rank=3),
    number("exit_quantity", "out", rank=4),
    number("exit_price", "at", rank=3),
    number("pnl_before_fees", "before fees", rank=6),
    number("fee", rank=5),
    Column("fee_currency", "fee in", _other_currency, if_any=True, rank=5),
    number("pnl"),
    word("currency"),
    Column("adds_up", "adds up", lambda trip: _ADDS_UP[trip.adds_up], if_it_differs=True),
]


class Zone(click.ParamType[tzinfo]):
    """A time zone by its name."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tzinfo:
        """The zone."""
        try:
            # UTC needs no table of zones, which a small system may not have.
            return value if isinstance(value, tzinfo) else UTC if value == "UTC" else ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fail(
                f"{value!r} is not a time zone of this system; write for example UTC or Europe/Berlin "
                "(pip install tzdata where a system has no zones)",
                param,
                ctx,
            )


def _calendar(by: str) -> Callable[[Any], Any]:
    """`--by` and `--zone`: what a row sums up."""

    def with_options(command: Any) -> Any:
        command = click.option(
            "--zone",
            type=Zone(),
            default="UTC",
            show_default=True,
            help="The time zone in which days, months and years begin.",
        )(command)
        return click.option(
            "--by", type=click.Choice(PERIODS), default=by, show_default=True, help="The period that a row sums up."
        )(command)

    return with_options


@click.command(
    help="Show profit and loss by period and instrument: realized PnL as the venue reports it, fees, funding, and what "
    "is left: net = realized - fees + funding. A fee in another currency has a row of its own.\n\n"
    "Where fills come without their PnL, the positions' figure counts, which is after fees: these are not subtracted "
    "again. What was realized during a gap is then known only as a sum and has a column of its own, for the venue does "
    "not say when in the gap it was realized.\n\n"
    "What an option or a future earns at its expiry is not in it where the venue reports no fill of that, only a "
    "movement of money: see recorder transactions (type settlement) and recorder books.\n\n"
    "\b\nExample:  recorder pnl --by year --zone Europe/Berlin --format csv > 2019.csv"
)
@options.record_address
@_calendar(BY_DAY)
@options.filters(of="happened")
@options.layout
def pnl(at: options.RecordAddress, layout: Layout, by: str, zone: tzinfo, wanted: Filter) -> None:
    """Show profit and loss."""
    with at.opened(wanted) as record:
        rows = record.pnl(Calendar(by, zone), wanted)
        show(rows, PNL_COLUMNS, layout, options.nothing("trades", wanted), Pnl._fields)


@click.command(
    help="Show fees by period and instrument, and how much of the quantity was filled as maker and as taker: as the "
    "venue reported it, or as the terms of the order imply (post-only, immediate, market); otherwise it counts as "
    "unknown.\n\n"
    "\b\nExample:  recorder fees --by month --symbol BTC-USDT-SWAP --since 2019-01-01"
)
@options.record_address
@_calendar(BY_MONTH)
@options.filters(of="happened")
@options.layout
def fees(at: options.RecordAddress, layout: Layout, by: str, zone: tzinfo, wanted: Filter) -> None:
    """Show fees."""
    with at.opened(wanted) as record:
        rows = record.fees(Calendar(by, zone), wanted)
        show(rows, FEE_COLUMNS, layout, options.nothing("fills", wanted), Fees._fields)


@click.command(
    help="Show the funding of perpetual contracts by period and instrument: received, paid, and received less paid, as "
    "the venue's ledger lists it, each payment once.\n\n"
    "\b\nExample:  recorder funding --by month --since 2026-01-01 --format csv > funding.csv"
)
@options.record_address
@_calendar(BY_MONTH)
@options.filters(of="happened")
@options.layout
def funding(at: options.RecordAddress, layout: Layout, by: str, zone: tzinfo, wanted: Filter) -> None:
    """Show funding."""
    with at.opened(wanted) as record:
        rows = record.funding(Calendar(by, zone), wanted)
        show(rows, FUNDING_COLUMNS, layout, options.nothing("funding", wanted), Funding._fields)


@click.command(
    help="Show round trips: from the opening of a position to its close, with average entry and exit prices, fees and "
    "profit, computed from the fills. A trip that is still open is shown too. `adds up: no` means that the fills do "
    "not lead to the position that the venue reported: see `recorder gaps`. It is unknown where the venue reports no "
    "position, as on spot.\n\n"
    "\b\nExample:  recorder trips --since 2020-01-01 --until 2021-01-01 --format csv > trips.csv"
)
@options.record_address
@options.filters(of="happened")
@options.layout
def trips(at: options.RecordAddress, layout: Layout, wanted: Filter) -> None:
    """Show round trips."""
    with at.opened(wanted) as record:
        show(record.trips(wanted), TRIP_COLUMNS, layout, options.nothing("trips", wanted), Trip._fields)
