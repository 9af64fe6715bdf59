"""What vectorbt makes of a record: the same position, and within its floats the same realized profit.

Run:    recorder demo --folder demo
        python examples/vectorbt_portfolio.py demo/recorder-*.db
Needs:  pip install 'exchange-recorder[vectorbt]'
"""

import sys

import recorder
from recorder.backtest import vectorbt


def main(path: str) -> None:
    with recorder.open(f"sqlite:///{path}") as record:
        position = next(record.positions())
        # The record may end between a fill and what the exchange says of the position after it.
        fills = [fill for fill in record.fills() if (fill.session_id, fill.seq) < (position.session_id, position.seq)]
    portfolio = vectorbt.portfolio(fills)
    print(f"{len(fills)} fills of {position.account} in {position.symbol}")
    told = (position.quantity or 0) * (1 if position.direction == "LONG" else -1)
    print(f"held      recorded {told:>24}   vectorbt {vectorbt.held(portfolio):>24.6f}")
    print(f"realized  recorded {position.realized_pnl:>24}   vectorbt {vectorbt.realized_pnl(portfolio):>24.18f} BTC")
    print(
        portfolio.stats(silence_warnings=True)[["Total Fees Paid", "Total Trades", "Win Rate [%]", "Max Drawdown [%]"]]
    )


if __name__ == "__main__":
    main(sys.argv[1])
