"""What vectorbt computes from a record: the same position and, within its floats, the same realized profit.

Run:    recorder demo --folder demo
        python examples/vectorbt_portfolio.py demo/recorder-*.db
Needs:  pip install 'exchange-recorder[vectorbt]'
"""

import sys

import recorder
from recorder.backtest import vectorbt


def main(path: str) -> None:
    with recorder.open(f"sqlite:///{path}") as record:
        history = vectorbt.history(record)
    if history is None or not history.fills:
        sys.exit(f"{path} holds no fills between two states of a position: nothing to compare; record for longer.")
    portfolio = vectorbt.portfolio(history.fills, history.terms)
    print(f"{len(history.fills)} fills of {history.last.account} in {history.last.symbol}")
    print(f"held      recorded {history.held:>24}   vectorbt {vectorbt.held(portfolio, history.terms):>24.6f}")
    print(f"realized  recorded {history.realized_pnl:>24}   vectorbt {vectorbt.realized_pnl(portfolio):>24.18f}")
    print(
        portfolio.stats(silence_warnings=True)[["Total Fees Paid", "Total Trades", "Win Rate [%]", "Max Drawdown [%]"]]
    )


if __name__ == "__main__":
    main(sys.argv[1])
