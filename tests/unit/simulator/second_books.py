"""An account's books, kept a second time from the pushed frames alone: in fractions, without the simulator's code."""

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

UNITS = 10**18
TAKER, MAKER = Fraction("0.00045"), Fraction("-0.00025")
ACTIVE = {"PENDING", "PARTIAL_FILLED"}
LIQUIDATION = 0x8000


def cut(amount: Fraction) -> Fraction:
    """To 18 decimals, towards zero."""
    return Fraction(int(amount * UNITS), UNITS)


class Ledger:
    """Reads every push of an account and asserts that each follows from those before it."""

    def __init__(self, first_deposit: Decimal, later_deposit: Decimal) -> None:
        self.deposits = Fraction(first_deposit)
        self._later_deposit = Fraction(later_deposit)
        self._orders: dict[int, dict[str, Any]] = {}
        self._positions: dict[str, dict[str, Any]] = {}
        self._fill: tuple[dict[str, Any], int, Fraction, Fraction] | None = None
        self.fills = 0
        self.liquidated = 0

    def take(self, payload: bytes) -> None:
        """Check one frame."""
        push = json.loads(payload, parse_float=Decimal)
        kind = push["type"].partition(".")[0]
        assert (self._fill is not None) == (kind == "position"), (
            "a fill is followed by its position, and only a fill is"
        )
        {"order": self._order, "position": self._position, "account": self._account}[kind](push[kind])

    def _order(self, order: dict[str, Any]) -> None:
        before = self._orders.get(order["id"])
        filled = order["quantity"] - order["unfilled_quantity"]
        done, paid, fee = 0, Fraction(0), Fraction(0)
        if before:
            done = before["quantity"] - before["unfilled_quantity"]
            paid, fee = done * Fraction(before["fill_price"]), Fraction(before["fee"])
        size = filled - done
        assert size >= 0
        if size:
            # The average is cut to 18 decimals; prices stand on ticks of half a USD.
            price = Fraction(round(2 * (filled * Fraction(order["fill_price"]) - paid) / size), 2)
            self._fill = (order, size, price, Fraction(order["fee"]) - fee)
        self._orders[order["id"]] = order

    def _position(self, after: dict[str, Any]) -> None:
        assert self._fill
        order, size, price, fee = self._fill
        self._fill = None
        self.fills += 1
        assert order["symbol"] == after["symbol"]
        before = self._positions.get(after["symbol"])
        before = before or {
            "quantity": 0,
            "direction": order["direction"],
            "margin": 0,
            "realized_pnl": 0,
            "entry_price": 0,
        }
        assert fee in {cut(cut(Fraction(size) / price) * rate) for rate in (TAKER, MAKER)}

        closing = min(size, before["quantity"]) if before["direction"] != order["direction"] else 0
        opening = size - closing
        released = Fraction(before["margin"])
        if closing != before["quantity"]:
            released = cut(released * closing / (before["quantity"] or 1))
        gain = cut(closing / Fraction(before["entry_price"])) - cut(closing / price) if closing else Fraction(0)
        if before["direction"] == "SHORT":
            gain = -gain
        realized = gain - fee
        if order["features"] & LIQUIDATION:
            self.liquidated += 1
            assert opening == 0
            assert abs(realized + released) < released / 10, "liquidated at about the bankruptcy price"
            realized = -released
        added = cut(cut(opening / price) / after["leverage"])
        self._same(after, "quantity", before["quantity"] - closing + opening)
        self._same(after, "margin", Fraction(before["margin"]) - released + added)
        self._same(after, "realized_pnl", Fraction(before["realized_pnl"]) + realized)
        if after["quantity"] == 0:
            self._same(after, "entry_price", 0)
        elif opening:
            assert after["direction"] == order["direction"]
            kept = before["quantity"] - closing
            worth = (kept / Fraction(before["entry_price"]) if kept else 0) + opening / price
            assert abs(Fraction(after["entry_price"]) - after["quantity"] / worth) <= Fraction(1, UNITS)
        self._positions[after["symbol"]] = after

    def _account(self, account: dict[str, Any]) -> None:
        available, frozen, margins = (Fraction(account[name]) for name in ("available", "frozen", "position"))
        held = sum((Fraction(position["margin"]) for position in self._positions.values()), Fraction(0))
        realized = sum((Fraction(position["realized_pnl"]) for position in self._positions.values()), Fraction(0))
        assert margins == held
        assert available >= 0
        holding = any(
            order["status"] in ACTIVE and not order["features"] & LIQUIDATION for order in self._orders.values()
        )
        assert (frozen > 0) == holding
        surplus = available + frozen + margins - realized - self.deposits
        assert surplus in {0, self._later_deposit}
        self.deposits += surplus
        # Orders that are done no longer matter here, and would be gone through again and again.
        self._orders = {
            name: order for name, order in self._orders.items() if order["status"] in {*ACTIVE, "STOP_PENDING"}
        }

    @staticmethod
    def _same(found: dict[str, Any], name: str, expected: Fraction | int) -> None:
        assert Fraction(found[name]) == expected, f"{name} is {found[name]}, expected {float(expected)!r}"
