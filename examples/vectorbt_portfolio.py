"""What vectorbt computes from a record: the same position and, within its floats, the same realized profit.

Run:    recorder demo --venue deribit --folder demo
        python examples/vectorbt_portfolio.py demo/recorder-*.db [SYMBOL [MARKET]]
Needs:  pip install 'exchange-recorder[vectorbt]'

The symbol is as the exchange writes it, the market only where it uses a symbol twice: `BTCUSDT spot`.
"""

import sys

import recorder
from recorder.backtest import vectorbt
from recorder.backtest.history import history
from recorder.clock import NS_PER_MS, utc_text
from recorder.read.records import Filter


def main(path: str, symbol: str | None = None, market: str | None = None) -> None:
    with recorder.open(f"sqlite:///{path}") as record:
        found = history(record, Filter(symbol=symbol), market=market)
    if found is None or not found.fills:
        sys.exit(f"{path} holds no fills between two reported states: nothing to compare; record for longer.")
    portfolio = vectorbt.portfolio(found.fills, found.instrument)
    instrument = found.instrument
    begins, ends = (utc_text(ms * NS_PER_MS) for ms in (found.begins_ms, found.ends_ms))
    print(f"{len(found.fills)} fills of {found.account} in {instrument.symbol} ({instrument.kind}), {begins} to {ends}")
    print(f"held      recorded {found.held:>24}   vectorbt {vectorbt.held(portfolio, instrument):>24.8f}")
    recorded = "not reported" if found.realized_pnl is None else str(found.realized_pnl)
    print(f"realized  recorded {recorded:>24}   vectorbt {vectorbt.realized_pnl(portfolio):>24.18f}")
    for currency, fee in vectorbt.other_fees(found.fills, instrument).items():
        print(f"left out  fees of {fee} {currency}: they were paid in a third currency")
    print(
        portfolio.stats(silence_warnings=True)[["Total Fees Paid", "Total Trades", "Win Rate [%]", "Max Drawdown [%]"]]
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
