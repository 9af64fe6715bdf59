"""The commands that answer a trader's questions: what trading brought, what it cost, trip by trip."""

from collections.abc import Callable
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from recorder.cli import options
from recorder.cli.output import Column, number, show, word
from recorder.clock import NS_PER_MS, utc_text
from recorder.read.trading.sums import BY_DAY, BY_MONTH, PERIODS, Calendar, Fees, Pnl
from recorder.read.trading.trips import Trip

FEE_COLUMNS = [
    word("period"),
    word("account", if_it_differs=True),
    word("symbol"),
    number("fills"),
    number("quantity"),
    number("fee"),
    number("paid"),
    number("rebates"),
    word("currency"),
    number("maker_quantity", "maker"),
    number("taker_quantity", "taker"),
    number("unknown_quantity", "unknown"),
]
PNL_COLUMNS = [
    word("period"),
    word("account", if_it_differs=True),
    word("symbol"),
    number("realized_pnl"),
    number("over_gaps"),
    number("fee", "of it fees"),
    number("before_fees"),
    word("currency"),
    number("fills"),
    number("quantity"),
]
TRIP_COLUMNS = [
    Column(
        "opened (UTC)",
        lambda trip: "before the record" if trip.opened_ms is None else utc_text(trip.opened_ms * NS_PER_MS),
    ),
    Column("closed (UTC)", lambda trip: "open" if trip.closed_ms is None else utc_text(trip.closed_ms * NS_PER_MS)),
    word("account", if_it_differs=True),
    word("symbol"),
    word("direction"),
    number("entry_quantity", "in"),
    number("entry_price", "at"),
    number("exit_quantity", "out"),
    number("exit_price", "at"),
    number("pnl_before_fees", "before fees"),
    number("fee"),
    number("pnl"),
    word("currency"),
    Column("adds up", lambda trip: "" if trip.adds_up else "no", if_it_differs=True),
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
                f"{value!r} is no time zone known here; write for example UTC or Europe/Berlin "
                "(pip install tzdata brings the zones where a system has none)",
                param,
                ctx,
            )


def _calendar(by: str) -> Callable[[Any], Any]:
    """`--by` and `--zone`: the periods of sums."""

    def with_options(command: Any) -> Any:
        command = click.option(
            "--zone", type=Zone(), default="UTC", show_default=True, help="Whose midnight divides days and years."
        )(command)
        return click.option(
            "--by", type=click.Choice(PERIODS), default=by, show_default=True, help="The period of a row."
        )(command)

    return with_options


@click.command(
    help="What trading brought: the growth of the exchange's own realized PnL, which is after fees, by day, month or "
    "year and contract, and the fees in it. What is known only as a sum over a gap is told beside it: the exchange "
    "does not say when in the gap it came about.\n\n"
    "\b\nExample:  recorder pnl --by year --zone Europe/Berlin --format csv > 2019.csv"
)
@options.database
@_calendar(BY_DAY)
@options.happened
@options.output_format
def pnl(database: str | None, config: Path | None, form: str, by: str, zone: tzinfo, **filters: Any) -> None:
    """What trading brought."""
    wanted = options.filter_of(filters)
    with options.opened(database, config, wanted) as record:
        rows = record.pnl(Calendar(by, zone), wanted)
        show(rows, PNL_COLUMNS, form, options.nothing("trades", wanted), Pnl._fields)


@click.command(
    help="What was traded and paid for it, by month, day or year and contract. Of the quantity, how much was filled as "
    "maker and as taker: as the exchange told it, or where the order's flags leave nothing else; the rest is "
    "unknown.\n\n"
    "\b\nExample:  recorder fees --by month --symbol btcusd_p --since 2019-01-01"
)
@options.database
@_calendar(BY_MONTH)
@options.happened
@options.output_format
def fees(database: str | None, config: Path | None, form: str, by: str, zone: tzinfo, **filters: Any) -> None:
    """What trading cost."""
    wanted = options.filter_of(filters)
    with options.opened(database, config, wanted) as record:
        rows = record.fees(Calendar(by, zone), wanted)
        show(rows, FEE_COLUMNS, form, options.nothing("fills", wanted), Fees._fields)


@click.command(
    help="Round trips: each way of a position from nothing to nothing, with average entry and exit, fees and what it "
    "brought, reckoned from the fills. One that is open stands there too. `adds up: no` means that the fills here do "
    "not lead to the position that the exchange told: look at `recorder gaps`.\n\n"
    "\b\nExample:  recorder trips --since 2020-01-01 --until 2021-01-01 --format csv > trips.csv"
)
@options.database
@options.happened
@options.output_format
def trips(database: str | None, config: Path | None, form: str, **filters: Any) -> None:
    """Round trips."""
    wanted = options.filter_of(filters)
    with options.opened(database, config, wanted) as record:
        show(record.trips(wanted), TRIP_COLUMNS, form, options.nothing("trips", wanted), Trip._fields)
