"""Invented accounts of a venue with a ledger, with one error of each kind to plant."""

from collections import defaultdict
from decimal import Decimal
from itertools import count
from random import Random
from typing import Any

from recorder.clock import NS_PER_MS
from recorder.model import (
    BUY,
    SELL,
    FillUpdate,
    Transaction,
)
from tests.made import NOON_NS

D = Decimal
NOON_MS = NOON_NS // NS_PER_MS
STEPS = 30
NONE = D(0)


def nothing(record: type[Any]) -> Any:
    """A record without anything."""
    return record(**dict.fromkeys(record._fields))._replace(is_snapshot=0)


class Story:
    """What a venue says about an account: in frames of one session, at the times of the venue's clock.

    Args:
        seed: of what happens.
        venue: `bybit` has everything in its ledger, and balances after it; `hyperliquid` has fills beside it.
    """

    def __init__(self, seed: int, venue: str) -> None:
        self.random = Random(seed)
        self.venue = venue
        self.at_ms = NOON_MS
        self._ids = count(1)
        self.owned: defaultdict[tuple[str, str], Decimal] = defaultdict(lambda: D(0))
        self.transactions: list[Transaction] = []
        self.fills: list[FillUpdate] = []
        #: Time, wallet, currency and balance.
        self.states: list[tuple[int, str, str, Decimal]] = []
        #: Of states that nothing happens near to, the place of the first of several.
        self.quiet: list[int] = []
        self.sums: defaultdict[str, Decimal] = defaultdict(lambda: D(0))
        self.money = (("UNIFIED", "USDT"), ("UNIFIED", "BTC")) if venue == "bybit" else (("", "USDC"), ("spot", "USDC"))
        for of in (*self.money, ("spot", "PURR")) if venue == "hyperliquid" else self.money:
            self.owned[of] = self.digits(9_000, 4)
            self.states.append((self.at_ms, *of, self.owned[of]))
        self.at_ms += 60_000
        for _ in range(STEPS):
            self._step()
        self.see(0)
        self.quiet.append(len(self.states))
        self.see(15_000)
        self.at_ms += 60_000
        # So that everything before is asked for, and every difference has lasted.
        for of in self.money:
            self.move(of, self.digits(5, 4), "funding")
        self.at_ms += 60_000
        for of in self.money:
            self.move(of, self.digits(5, 4), "funding")
        self.states += [(self.at_ms + 5_000 * n, *of, self.owned[of]) for n in (1, 4) for of in sorted(self.owned)]

    def digits(self, most: int, decimals: int) -> Decimal:
        """An amount."""
        return D(self.random.randint(10**decimals, most * 10**decimals)).scaleb(-decimals)

    def _step(self) -> None:
        # Some in one millisecond, some in one burst, some alone.
        pause_ms = self.random.choice((0, 0, 1, 7, 900, 30_000))
        if pause_ms and self.random.random() < 0.8:
            # Without a balance after each transaction, only the balance after a whole block can be told.
            self.see(self.random.choice((0, 1, 40)) if self.venue == "bybit" else 0)
        if pause_ms == 30_000:
            self.quiet.append(len(self.states))
            self.see(15_000)
        self.at_ms += pause_ms
        self.random.choice((self._linear, self._inverse, self._spot, self._funding, self._transfer, self._other))()

    def see(self, late_ms: int) -> None:
        """The balances, so long after what happened."""
        self.states += [(self.at_ms + late_ms, *of, self.owned[of]) for of in sorted(self.owned)]

    def move(self, of: tuple[str, str], amount: Decimal, kind: str, fee: Decimal = NONE, **more: Any) -> None:
        """A transaction, and so a balance."""
        self.owned[of] += amount
        self.sums["fees"] += fee
        self.sums[kind] += amount + fee
        after = self.owned[of] if self.venue == "bybit" else None
        self.transactions.append(
            nothing(Transaction)._replace(
                transaction_id=f"{next(self._ids)}" if self.venue == "bybit" else None,
                type=kind,
                venue_type=kind.upper(),
                wallet=of[0],
                currency=of[1],
                amount=str(amount),
                fee=str(fee),
                balance_after=None if after is None else str(after),
                occurred_ms=self.at_ms,
                **more,
            )
        )

    def _fill(
        self, market: str, symbol: str, moves: dict[tuple[str, str], tuple[Decimal, Decimal]], **more: Any
    ) -> None:
        """A fill, and what it does: an amount before fees and a fee of each balance."""
        trade_id, order_id = f"t{next(self._ids)}", f"o{next(self._ids)}"
        (fee_currency, fee) = next((of[1], fee) for of, (_, fee) in moves.items() if fee)
        is_bybit = self.venue == "bybit"
        fill = nothing(FillUpdate)._replace(
            trade_id=trade_id,
            order_id=order_id,
            market=market if is_bybit else None,
            symbol=symbol,
            fee=str(fee),
            fee_currency=fee_currency,
            kind="trade",
            executed_ms=self.at_ms,
            **more,
        )
        self.fills.append(fill)
        for of, (amount, paid) in moves.items():
            if is_bybit:
                ids = {"market": market, "symbol": symbol, "order_id": order_id, "trade_id": trade_id}
                self.move(of, amount - paid, "trade", paid, **ids)
            else:
                self.owned[of] += amount - paid
                self.sums["fees"] += paid
                self.sums["trade"] += amount

    def _linear(self) -> None:
        price, quantity, fee = self.digits(3_000, 1), self.digits(2, 2), self.digits(2, 4)
        side, pnl = self.random.choice((BUY, SELL)), self.digits(50, 4) - 25
        side_of_position = self.random.choice((None, "long", "short"))
        about = {
            "side": side,
            "position_side": side_of_position,
            "price": str(price),
            "quantity": str(quantity),
            "realized_pnl": str(pnl),
        }
        paid = price * quantity * (-1 if side == BUY else 1)
        self._fill("linear", "ETHUSDT", {self.money[0]: (pnl if self.venue == "bybit" else paid, fee)}, **about)

    def _inverse(self) -> None:
        if self.venue != "bybit":
            return self._linear()
        pnl, fee = self.digits(2, 8) - 1, self.digits(2, 8) / 1000
        about = {"side": SELL, "price": "9000", "quantity": "100", "realized_pnl": str(pnl)}
        self._fill("inverse", "BTCUSD", {self.money[1]: (pnl, fee)}, **about)
        return None

    def _spot(self) -> None:
        price, quantity, side = self.digits(90, 2), self.digits(2, 4), self.random.choice((BUY, SELL))
        sign = 1 if side == BUY else -1
        base, quote, symbol = self.money[1], self.money[0], "BTCUSDT"
        if self.venue != "bybit":
            base, quote, symbol = ("spot", "PURR"), ("spot", "USDC"), "PURR/USDC"
        fee = self.digits(2, 4) / 100
        # A buyer pays the fee in what he buys.
        moves = {
            base: (sign * quantity, fee if side == BUY else D(0)),
            quote: (-sign * quantity * price, fee if side == SELL else D(0)),
        }
        about = {"side": side, "price": str(price), "quantity": str(quantity), "realized_pnl": None}
        self._fill("spot", symbol, moves, **about)

    def _funding(self) -> None:
        of, amount = self.money[0], self.digits(3, 4) - 2
        trade_id = f"f{next(self._ids)}" if self.venue == "bybit" else None
        self.move(of, amount, "funding", symbol="ETHUSDT", trade_id=trade_id)
        if self.venue == "bybit":
            # Pushed as well, without the ledger's id.
            pushed = self.transactions[-1]._replace(transaction_id=None, balance_after=None, venue_type="Funding")
            self.transactions.append(pushed)

    def _transfer(self) -> None:
        self.move(self.random.choice(self.money), self.digits(900, 6) - 450, "transfer")

    def _other(self) -> None:
        self.move(self.random.choice(self.money), self.digits(2, 6), self.random.choice(("interest", "rebate")))

    # Errors.

    def plant(self, error: str) -> tuple[Decimal | None, str | None]:
        """Plant an error in the middle; returns an amount that must be named, and a transaction's or trade's id."""
        rows = [row for row in self.transactions if row.transaction_id or self.venue != "bybit"]
        rows = rows[len(rows) // 4 : -4]
        row = self.random.choice(rows)
        place = self.transactions.index(row)
        amount = D(row.amount or 0)
        wrong = self.digits(1, 4) + D("0.0001")
        if error == "missing transaction":
            del self.transactions[place]
            return amount, row.trade_id if row.type == "trade" else None
        if error == "wrong amount":
            self.transactions[place] = row._replace(amount=str(amount + wrong))
            return -wrong, row.transaction_id
        if error == "listed twice":
            twice_id = None if row.transaction_id is None else f"{row.transaction_id}-2"
            self.transactions.insert(place, row._replace(transaction_id=twice_id))
            return -amount, None
        if error == "missing fill":
            fill = self.fills.pop(len(self.fills) // 2)
            return None, fill.trade_id if self.venue == "bybit" else None
        if error == "wrong balance after":
            self.transactions[place] = row._replace(balance_after=str(D(row.balance_after or 0) + wrong))
            # What is in one millisecond can no longer be put in order, so the amount may be another one.
            return None, row.transaction_id
        place = self.random.choice(self.quiet)
        at_ms, wallet, currency, balance = self.states[place]
        self.states[place] = at_ms, wallet, currency, balance + wrong
        return wrong, None
