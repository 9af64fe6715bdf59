"""A tear sheet of a recorded account, by quantstats.

Run:    python examples/tear_sheet.py recorder.db USDT tear-sheet.html
Needs:  pip install 'exchange-recorder[tearsheet]', and a record of at least three days, better some weeks
"""

import sys

import matplotlib as mpl
import quantstats

import recorder
from recorder.backtest.returns import daily_totals, daily_transfers, require_days, returns
from recorder.errors import ConfigurationError

mpl.use("agg")


def main(path: str, currency: str, out: str) -> None:
    with recorder.open(f"sqlite:///{path}") as record:
        totals = daily_totals(record.balance_history(), currency)
        moved = daily_transfers(record.transactions(), record.balance_history(), currency)
    try:
        require_days(totals)
    except ConfigurationError as error:
        sys.exit(str(error))
    series = returns(totals, moved)
    print(f"{len(series)} days, {(1 + series).prod() - 1:.4%} in all, worst day {series.min():.4%}")
    quantstats.reports.html(series, output=out, title=f"Recorded account, {currency}", periods_per_year=365)
    print(f"written to {out}")


if __name__ == "__main__":
    main(*sys.argv[1:])
