"""vectorbt gets exactly the fills between two recorded states of a position."""

from decimal import Decimal
from pathlib import Path

from recorder.backtest.vectorbt import history
from recorder.read.records import Fill
from recorder.read.trips import Terms
from recorder.store.entries import ReconciliationBegan, ReconciliationEnded
from recorder.venues.fmex import rest
from tests.made import ACCOUNT, NOON_NS, RUN, SESSION, answered
from tests.unit.read.desk import Desk

MS = 10**6
NOON_MS = NOON_NS // MS
ROUND = SESSION + 5


class Trader:
    """An order of 10 contracts that fills one after the other, and its position; times in ms after noon."""

    def __init__(self, folder: Path) -> None:
        self.desk = Desk(folder / "recorder.db")

    def filled(self, at_ms: int, contracts: int) -> None:
        """The order has filled so far."""
        push = f'{{"type":"order.btcusd_p","ts":{NOON_MS + at_ms},"order":{self._order(contracts)}}}'
        self.desk.push(at_ms * MS, push)

    def holds(self, at_ms: int, contracts: int) -> None:
        """The position is pushed."""
        held = f'"symbol":"BTCUSD_P","direction":"SHORT","quantity":{contracts},"realized_pnl":-{contracts}e-9'
        push = f'{{"type":"position.btcusd_p","ts":{NOON_MS + at_ms},"position":{{{held},"entry_price":9000}}}}'
        self.desk.push(at_ms * MS, push)

    def reconciled(self, at_ms: int, *executed_ms: int) -> None:
        """REST reports the order and its executions, one contract each."""
        matches = ",".join(
            f'{{"taker":true,"price":9000,"quantity":1,"fee":1e-9,"created_at":{NOON_MS + one}}}' for one in executed_ms
        )
        order = f'{{"status":0,"data":{self._order(len(executed_ms))}}}'.encode()
        results = f'{{"status":0,"data":{{"results":[{matches}]}}}}'.encode()
        at_ns = NOON_NS + at_ms * MS
        self.desk.write(
            answered(0, f"{rest.ORDERS}/1", order, at_ns, round_id=ROUND),
            answered(1, f"{rest.ORDERS}/1/matches", results, at_ns, round_id=ROUND),
            entries=[
                ReconciliationBegan(ACCOUNT, ROUND, RUN, at_ns - 1),
                ReconciliationEnded(ACCOUNT, ROUND, SESSION, at_ns + 1, "reconciled", ""),
            ],
        )

    def history(self) -> tuple[Decimal, list[Fill]]:
        """The quantity held at the end, and the fills that lead there."""
        with self.desk.open() as record:
            found = history(record)
        self.desk.engine.dispose()
        assert found is not None
        assert sum(fill.quantity for fill in found.fills) == -found.held
        assert found.terms == Terms(is_inverse=True)
        assert found.realized_pnl == (found.held - (found.first.quantity or 0)) * Decimal("1e-9")
        return found.held, found.fills

    def _order(self, filled: int) -> str:
        return (
            f'{{"id":1,"symbol":"BTCUSD_P","direction":"SHORT","quantity":10,"unfilled_quantity":{10 - filled},'
            f'"fill_price":9000,"fee":{filled}e-9,"margin_currency":"BTC"}}'
        )


def test_the_fills_are_those_between_the_first_and_the_last_state(tmp_path: Path) -> None:
    trader = Trader(tmp_path)
    trader.filled(0, 2)
    trader.holds(0, 2)
    trader.filled(1, 3)
    trader.holds(1, 3)
    trader.filled(1, 4)  # the record ends before the position's next state
    held, fills = trader.history()
    assert (int(held), [int(fill.quantity) for fill in fills]) == (-3, [2, 1])


def test_fills_from_rest_count_too(tmp_path: Path) -> None:
    trader = Trader(tmp_path)
    trader.holds(0, 0)
    trader.filled(1, 2)
    trader.holds(1, 2)
    trader.reconciled(20, 1, 1, 5, 9)  # two executions were missed
    trader.filled(30, 6)
    trader.holds(30, 6)
    trader.filled(31, 10)
    held, fills = trader.history()
    assert (int(held), [int(fill.quantity) for fill in fills]) == (-6, [1, 1, 1, 1, 2])


def test_without_a_state_there_is_no_history(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "recorder.db")
    desk.order(1, unfilled=3)
    with desk.open() as record:
        assert history(record) is None
    desk.engine.dispose()
