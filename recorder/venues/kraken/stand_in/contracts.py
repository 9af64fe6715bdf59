"""Kraken's contracts of a simulated account: perpetuals, and the frames that only the Unified WebSocket has.

What the exchange's pages do not show is made up: the ids are UUIDs, as on the socket that this one replaces, and there
is one wallet, which has the name of the asset class. Source: docs.kraken.com/exchange/api-reference/, pages
unified-ws/positions, unified-ws/margin, unified-ws/ledgers.
"""

from decimal import Decimal

from recorder.venues.kraken.derivatives import LEDGERS, MARGIN, POSITIONS
from recorder.venues.kraken.names import DERIVATIVES, contract
from recorder.venues.kraken.stand_in import frames
from recorder.venues.kraken.stand_in.spelling import time_of
from recorder.venues.simulated import Funds, SimulatedBalance, SimulatedPosition, SimulatedTransaction, Terms

TAKER_RATE, MAKER_RATE = Decimal("0.0005"), Decimal("0.0002")
MAINTENANCE_RATE = Decimal("0.005")

#: What an account is given in the wallet of derivatives, the balance below which more is deposited, and how much.
FUNDS = (Decimal("250000.12345"), Decimal(50_000), Decimal("100000.00001"))


def terms(symbol: str, first_price: Decimal) -> Terms:
    """The terms of a perpetual such as `PF_XBTUSD`.

    Raises:
        ValueError: it is none.
    """
    named = contract(symbol)
    if named is None or not symbol.startswith("PF_") or symbol.count("_") != 1:
        raise ValueError(f"{symbol!r} is not a perpetual such as PF_XBTUSD")
    _, base, quote = named
    return Terms(
        symbol=symbol,
        market=DERIVATIVES,
        kind="linear",
        base=base,
        quote=quote,
        settle=quote,
        wallet=DERIVATIVES,
        price_tick=Decimal("0.5") if first_price > 10_000 else Decimal("0.01"),
        quantity_step=Decimal("0.001"),
        unit=Decimal("1E-5"),
        taker_rate=TAKER_RATE,
        maker_rate=MAKER_RATE,
        maintenance_rate=MAINTENANCE_RATE,
        leverage=10,
        first_price=first_price,
    )


def funds(instrument: Terms) -> Funds:
    """What an account is given to trade it."""
    return Funds(DERIVATIVES, instrument.settle, *FUNDS)


def position_row(position: SimulatedPosition) -> frames.Row:
    """A position; 0 if it is closed."""
    return {
        "symbol": position.terms.symbol,
        "size": frames.number(position.signed),
        "entry_price": frames.number(position.entry_price if position.quantity else Decimal(0)),
    }


def positions(kind: str, rows: list[frames.Row], at_ms: int, sequence: int) -> bytes:
    """A frame with positions."""
    data = {"futures": rows, "options": [], "time": time_of(at_ms)}
    return frames.encode({"channel": POSITIONS, "type": kind, "data": data, "sequence": sequence})


def margin(balance: SimulatedBalance, sequence: int) -> bytes:
    """A frame with the margins of the wallet, which is always whole."""
    data = {
        "balance_value": frames.number(balance.total),
        "initial_margin": frames.number(balance.margin),
        "available_margin": frames.number(balance.available),
    }
    return frames.encode({"channel": MARGIN, "type": "multi_collateral", "data": data, "sequence": sequence})


def entry(transaction: SimulatedTransaction, sequence: int) -> bytes:
    """A frame with an entry of the ledger."""
    return frames.push(LEDGERS, "update", [frames.entry_row(transaction)], sequence)
