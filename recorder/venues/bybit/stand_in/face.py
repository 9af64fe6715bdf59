"""Bybit's face of a simulated account: its instruments, and the frames and rows that it shows of an account.

One wallet for everything. It pushes executions, payments of funding among them, and no other transactions: those are
asked for.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import date
from decimal import Decimal

from recorder.model import MAKER, TAKER, FillUpdate
from recorder.venues import expiry
from recorder.venues.bybit.answers import BALANCES, EXECUTIONS, OPEN_ORDERS, POSITIONS, TRANSACTION_LOG
from recorder.venues.bybit.portal import TOPICS
from recorder.venues.bybit.stand_in import frames, ledger
from recorder.venues.bybit.words import INVERSE, LINEAR, OPTION, SPOT, UNIFIED
from recorder.venues.expiry import at_eight_ms, in_words, last_friday, next_day, quarter_day
from recorder.venues.face import Face, Push, pushed
from recorder.venues.simulated import (
    Event,
    Funds,
    Kind,
    Moment,
    SimulatedBalance,
    SimulatedFill,
    SimulatedOrder,
    SimulatedPosition,
    SimulatedState,
    SimulatedTransaction,
    Terms,
)
from recorder.venues.view import Execution, SentState

DEFAULT_SYMBOLS = ("BTCUSDT", "ETHUSDT", "BTCUSD", "spot:BTCUSDT")

TAKER_RATE, MAKER_RATE = Decimal("0.00055"), Decimal("0.0002")
SPOT_RATE = Decimal("0.001")
#: Here a share of an option's premium.
OPTION_RATE = Decimal("0.01")
#: First time value of an option, as a share of the price of what it is on.
TIME_VALUE = Decimal("0.03")
MAINTENANCE_RATE = Decimal("0.005")

#: The letters of the months in which a quarter ends.
_QUARTERS = "HMUZ"
_is_option = re.compile(r"([A-Z0-9]+)-(\d{1,2}[A-Z]{3}\d{2})-(\d+)-([CP])(?:-(USDT))?", re.ASCII).fullmatch

#: First price of a coin, in dollars; of any other coin that of the last.
FIRST_PRICES = {"BTC": Decimal(94_000), "ETH": Decimal(3_391), "": Decimal(250)}

#: Coin → first deposit, the balance below which more is deposited, and how much.
FUNDS = {
    "USDT": (Decimal("250000.12345678"), Decimal(50_000), Decimal("100000.00000001")),
    "USDC": (Decimal("250000.12345678"), Decimal(50_000), Decimal("100000.00000001")),
}
#: The same of any other coin.
OTHER_FUNDS = (Decimal("25.00000001"), Decimal(5), Decimal("10.00000001"))


def dated_symbols(at_ms: int) -> tuple[str, ...]:
    """Futures of both kinds, and options at and in the money."""
    day = next_day(at_ms)
    date = in_words(day)
    options = (f"BTC-{date}-{rest}-USDT" for rest in ("94500-C", "93500-P", "94000-C"))
    return f"BTCUSDT-{date}", f"BTCUSD{_quarter(day)}", *options


def terms(symbols: Sequence[str]) -> tuple[Terms, ...]:
    """The terms of instruments, named as the exchange names them; before the name of a spot market stands `spot:`.

    `BTCUSDT` and `BTCPERP` (in USDC) are linear, `BTCUSD` inverse, `BTCUSDT-27MAR26` and `BTCUSDH26` expire,
    `BTC-27MAR26-89000-P-USDT` is an option.

    Raises:
        ValueError: a symbol is none of these, or is given twice.
    """
    if len(set(symbols)) < len(symbols):
        raise ValueError("each symbol may be given once")
    return tuple(map(_instrument, symbols))


def funds(instruments: Sequence[Terms]) -> tuple[Funds, ...]:
    """What an account is given: of every coin that it pays in."""
    coins = dict.fromkeys(one.settle for one in instruments)
    coins |= dict.fromkeys(one.base for one in instruments if one.kind == "spot")
    return tuple(Funds(UNIFIED, coin, *FUNDS.get(coin, OTHER_FUNDS)) for coin in coins)


def _instrument(symbol: str) -> Terms:
    market, _, name = symbol.rpartition(":")
    market = market.lower()
    base, dollars, rest = name.partition("USD")
    if name.endswith("PERP") and not market:
        base, dollars, rest = name.removesuffix("PERP"), "USD", "C"
    coin, _, named = rest.partition("-")
    if option := _is_option(name):
        return _option(name, *option.groups())
    quarter_ms = _quarter_ms(rest)
    due_ms = expiry.expires_ms(named) if coin == "T" and named else quarter_ms
    is_known = due_ms is not None or rest in {"", "T", "C"}
    if not base or not dollars or not name.isupper() or market not in {"", SPOT} or not is_known:
        raise ValueError(f"{symbol!r} is not a symbol such as BTCUSDT, BTCUSD or spot:BTCUSDT")
    if market == SPOT and (not rest or due_ms):
        raise ValueError(f"{symbol!r}: a spot market needs a quote coin, such as spot:BTCUSDT")
    is_linear = coin in {"T", "C"}
    kind: Kind = "spot" if market == SPOT else "linear" if is_linear else "inverse"
    price = FIRST_PRICES.get(base, FIRST_PRICES[""])
    return Terms(
        symbol=name,
        market={"spot": SPOT, "linear": LINEAR, "inverse": INVERSE}[kind],
        kind=kind,
        base=base,
        quote="USD" if kind == "inverse" else f"USD{coin}",
        settle=base if kind == "inverse" else f"USD{coin}",
        wallet=UNIFIED,
        price_tick=Decimal("0.1") if price > 10_000 else Decimal("0.01"),
        quantity_step=Decimal(1) if kind == "inverse" else Decimal("0.001"),
        unit=frames.CENT8,
        base_unit=frames.CENT8 if kind == "spot" else Decimal(0),
        taker_rate=SPOT_RATE if kind == "spot" else TAKER_RATE,
        maker_rate=SPOT_RATE if kind == "spot" else MAKER_RATE,
        maintenance_rate=Decimal(0) if kind == "spot" else MAINTENANCE_RATE,
        leverage=1 if kind == "spot" else 10,
        first_price=price,
        expires_ms=due_ms or 0,
        closed_by_order=due_ms is not None,
        # Only perpetual linear contracts can hold a long and a short position side by side.
        hedged=kind == "linear" and base == "ETH" and due_ms is None,
        fee_in_received=kind == "spot",
    )


def _option(symbol: str, base: str, date: str, strike: str, form: str, coin: str | None) -> Terms:
    due_ms = expiry.expires_ms(date)
    if due_ms is None:
        raise ValueError(f"{symbol!r}: {date} is not a date such as 27MAR26")
    price = FIRST_PRICES.get(base, FIRST_PRICES[""])
    return Terms(
        symbol=symbol,
        market=OPTION,
        kind="option",
        base=base,
        quote=coin or "USDC",
        settle=coin or "USDC",
        wallet=UNIFIED,
        price_tick=Decimal(5 if price > 10_000 else "0.1"),
        quantity_step=Decimal("0.01"),
        unit=frames.CENT8,
        taker_rate=OPTION_RATE,
        maker_rate=OPTION_RATE,
        first_price=TIME_VALUE * price,
        expires_ms=due_ms,
        strike=Decimal(strike),
        is_put=form == "P",
    )


def _quarter(day: date) -> str:
    """The month's letter and the year of the quarter's future that expires next: `H26`."""
    due = quarter_day(day)
    return f"{_QUARTERS[due.month // 3 - 1]}{due:%y}"


def _quarter_ms(text: str) -> int | None:
    """When the future of a quarter expires, milliseconds since 1970; None: it is no quarter."""
    if len(text) != 3 or text[0] not in _QUARTERS or not text[1:].isdigit():
        return None
    return at_eight_ms(last_friday(date(2000 + int(text[1:]), (_QUARTERS.index(text[0]) + 1) * 3, 1)))


class BybitFace(Face):
    """Implements `recorder.venues.stand_in.Face`."""

    def __init__(self, _instruments: Sequence[Terms], _key: str) -> None:
        pass

    def topics(self) -> Collection[str]:
        """The topics of the private stream."""
        return TOPICS

    def pushes(self, moment: Moment, now_ms: int) -> Iterator[Push]:
        """One frame for each execution, order, position and coin."""
        orders = {event.id: event for event in moment if isinstance(event, SimulatedOrder)}
        return pushed(moment, lambda event: _told(event, orders, now_ms))

    def balances(self, state: SimulatedState) -> Iterator[SentState]:
        """The coins of the wallet."""
        for balance in state.current_balances():
            row = frames.wallet_row({balance.currency: balance})
            yield _sent(f"{BALANCES}?accountType={UNIFIED}", row, balance.updated_ms)

    def positions(self, state: SimulatedState) -> Iterator[SentState]:
        """The positions."""
        for position in state.current_positions():
            target = f"{POSITIONS}?category={position.terms.market}"
            yield _sent(target, frames.position_row(position, answer=True), position.updated_ms)

    def order_number(self, order_id: str) -> int | None:
        """See `frames.order_id`."""
        return frames.number_of(order_id)

    def order(self, order: SimulatedOrder) -> SentState:
        """An order."""
        return _sent(f"{OPEN_ORDERS}?category={order.terms.market}", frames.order_row(order), order.updated_ms)

    def fill(self, fill: SimulatedFill) -> SentState:
        """An execution."""
        return _sent(f"{EXECUTIONS}?category={fill.terms.market}", frames.execution_row(fill, None), fill.executed_ms)

    def transaction(self, transaction: SimulatedTransaction) -> SentState:
        """An entry of the transaction log."""
        target = f"{TRANSACTION_LOG}?accountType={UNIFIED}"
        return _sent(target, ledger.transaction_row(transaction, None), transaction.occurred_ms)

    def execution(self, fill: SimulatedFill) -> Execution:
        """A fill, as records have it."""
        row = frames.execution_row(fill, None)
        return Execution(
            FillUpdate(
                trade_id=str(row["execId"]),
                order_id=str(row["orderId"]),
                client_order_id=fill.client_order_id,
                market=fill.terms.market,
                symbol=fill.terms.symbol,
                side=fill.side,
                position_side=fill.position_side,
                price=str(row["execPrice"]),
                quantity=str(row["execQty"]),
                fee=str(row["execFee"]),
                fee_currency=fill.fee_currency,
                liquidity=TAKER if fill.is_taker else MAKER,
                realized_pnl=str(row["execPnl"]) or None,
                kind=fill.kind,
                executed_ms=fill.executed_ms,
            )
        )


def _told(event: Event, orders: dict[int, SimulatedOrder], now_ms: int) -> tuple[str, bytes] | None:
    """Topic and frame of an event; None if it is not pushed."""
    told = _row_of(event, orders)
    return None if told is None else (told[0], frames.push(*told[:2], now_ms, told[2]))


def _row_of(event: Event, orders: dict[int, SimulatedOrder]) -> tuple[str, frames.Row, int] | None:
    """Topic and row of an event, and a number for the frame's id; None if it is not pushed."""
    match event:
        case SimulatedFill():
            return "execution", frames.execution_row(event, orders.get(event.order_id)), event.trade_id
        case SimulatedOrder():
            return "order", frames.order_row(event), event.id
        case SimulatedPosition():
            return "position", frames.position_row(event), event.updated_ms
        case SimulatedBalance():
            return "wallet", frames.wallet_row({event.currency: event}), event.updated_ms
        case SimulatedTransaction() if event.type == "funding":
            return "execution", frames.funding_row(ledger.transaction_row(event, None)), event.id
    return None


def _sent(target: str, row: frames.Row, at_ms: int) -> SentState:
    return SentState(target, frames.answer({"list": [row]}, at_ms))
