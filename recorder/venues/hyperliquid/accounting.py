"""How Hyperliquid's amounts enter the books. Pure.

Source: hyperliquid.gitbook.io, "WebSocket subscriptions" and "Info endpoint". No row of the ledger has the balance
after it, and fills are not among them. What follows exactly from fills, funding and ledger is

- of a perpetual exchange, `marginSummary.totalRawUsd`: a fill pays its value, whatever the position's entry price;
- of the spot wallet, `total` of each token.

The strings are printed from binary numbers (`2703997.4500000002`), so amounts are rounded to the decimals they have: 6
in a perpetual exchange, 8 on spot. Prices times quantities have no more. In a unified account, spot holds the
collateral, and the equation above is not documented.
"""

from decimal import Decimal

from recorder.model import Instrument
from recorder.venues.accounting import Accounting, Execution, Ledger, Move, PnlReading, exchanged, paid
from recorder.venues.fields import as_object, digits, inner, listed, read_json, text
from recorder.venues.hyperliquid.words import MAIN_DEX, SPOT, USDC, collateral_of, dex_of

_PERP_DECIMALS, _SPOT_DECIMALS = 6, 8


class HyperliquidLedger(Ledger):
    """Implements `recorder.venues.accounting.Ledger`."""

    has_trades = False
    reads_frames = True

    def decimals(self, wallet: str | None) -> int | None:
        """As the exchange documents them."""
        return _SPOT_DECIMALS if wallet == SPOT else _PERP_DECIMALS

    def owned(self, wallet: str | None, balance: Decimal | None, payload: bytes) -> Decimal | None:
        """The raw USD of a perpetual exchange, which a push has; an answer does not say of which exchange it is."""
        if wallet == SPOT:
            return balance
        frame = as_object(read_json(payload), "frame")
        data = inner(frame, "data")
        if "clearinghouseStates" in data:
            states = {pair[0]: as_object(pair[1], "state") for pair in listed(data, "clearinghouseStates")}
        else:
            states = {text(data, "dex") or MAIN_DEX: inner(data, "clearinghouseState")}
        raw = digits(inner(states.get(wallet or MAIN_DEX, {}), "marginSummary"), "totalRawUsd")
        return None if raw is None else Decimal(raw)

    def moves(self, fill: Execution, contract: Instrument) -> tuple[Move, ...] | None:
        """What was exchanged on spot; the value of a perpetual."""
        if contract.kind == "spot":
            if contract.base is None or contract.quote is None:
                return None
            return exchanged(fill, SPOT, contract.base, contract.quote)
        dex = dex_of(fill.symbol) or MAIN_DEX
        collateral = collateral_of(dex)
        # Other dexes call their collateral USD; a fee in any other token is paid from spot.
        own = fill.fee_currency in {None, USDC if dex == MAIN_DEX else fill.fee_currency}
        moves = paid(fill._replace(fee=fill.fee if own else Decimal(0), fee_currency=collateral), dex, collateral)
        if moves is None or own or not fill.fee:
            return moves
        return (*moves, Move(SPOT, str(fill.fee_currency), -fill.fee, fill.fee))


class HyperliquidAccounting(Accounting):
    """Implements `recorder.venues.accounting.Accounting`."""

    readings: tuple[PnlReading, ...] = ()
    ledger: Ledger | None = HyperliquidLedger()

    def instrument(self, symbol: str, market: str | None = None) -> Instrument:
        """`A/B` and `@107` are spot pairs, of which only the first says of what; `#250` is an outcome token."""
        if symbol.startswith(("@", "#")):
            return Instrument(None, 0, market, symbol, "spot", contract_size="1")
        base, slash, quote = symbol.partition("/")
        if slash:
            return Instrument(None, 0, market, symbol, "spot", base, quote, quote, "1")
        dex = dex_of(symbol) or MAIN_DEX
        base, settle = symbol.rpartition(":")[2], collateral_of(dex)
        return Instrument(None, 0, market, symbol, "linear", base, "USD", settle, "1")
