"""The simulated books balance at every step: checked from the pushed frames alone, with arithmetic of their own."""

from collections import Counter
from decimal import Decimal
from itertools import count, islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.simulator import contract
from recorder.simulator.books import BooksError
from recorder.simulator.contract import payoff
from recorder.simulator.exchange import Exchange
from recorder.venues import VENUES
from recorder.venues.fmex.stand_in.face import DEPOSIT, FIRST_DEPOSIT
from recorder.venues.simulated import Terms
from tests.depth import examples
from tests.plain import CASH, DATED, EXPIRY_MS, FUNDS, MARGIN, TERMS, PlainFace
from tests.unit.simulator.auditor import Auditor, net
from tests.unit.simulator.second_books import Ledger


def check(exchange: Exchange, pushes: int) -> Ledger:
    ledger = Ledger(FIRST_DEPOSIT, DEPOSIT)
    for _, payload in islice(exchange, pushes):
        ledger.take(payload)
    return ledger


@settings(max_examples=examples(20), deadline=None, database=None)
@given(seed=st.integers(0, 2**63))
def test_books_balance_with_any_seed(seed: int) -> None:
    assert check(Exchange(seed), 1_000).fills > 50


@pytest.mark.parametrize("symbols", [("btcusd_p",), ("btcusd_p", "ethusd_p")])
def test_books_balance_through_liquidations(symbols: tuple[str, ...]) -> None:
    ledger = check(Exchange(1, symbols), 15_000)
    assert ledger.fills > 2_000
    assert ledger.liquidated > 1


def test_books_balance_through_deposits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.venues.fmex.stand_in.face.LOW", Decimal("12.79"))
    assert check(Exchange(3), 5_000).deposits > FIRST_DEPOSIT


def test_more_than_the_available_balance_cannot_be_spent() -> None:
    exchange = Exchange(1)
    purse = exchange.purse()
    with pytest.raises(BooksError, match="balance is negative"):
        exchange.engine.books.lock(purse, purse.available + Decimal("1E-18"))


def test_books_that_do_not_balance_stop_the_exchange() -> None:
    exchange = Exchange(1)
    next(exchange)
    exchange.purse().available += Decimal("1E-18")
    with pytest.raises(BooksError, match="do not balance"):
        list(islice(exchange, 100))


# Every kind of instrument, in two wallets.

#: What a test does between two steps.
ACTIONS = ("deposit", "withdraw", "move", "funding")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VENUES, "plain", "tests.plain:Plain")


def act(exchange: Exchange, action: str, share: Decimal, terms: Terms) -> None:
    """Move a share of what is available, or fund every position in an instrument."""
    source, target = (exchange.purse("USDT", wallet) for wallet in (MARGIN, CASH))
    amount = max((source.available * share).quantize(Decimal("1E-8")), Decimal("1E-8"))
    if action == "deposit":
        exchange.transfer(amount, target)
    elif action == "withdraw":
        exchange.transfer(-amount, source, fee=min(amount, Decimal(1)))
    elif action == "move":
        exchange.move(source, target, amount)
    else:
        exchange.engine.pay_funding(terms.name, share / 1000)
        exchange._queue()


@settings(max_examples=examples(15), deadline=None, database=None)
@given(
    seed=st.integers(0, 2**63),
    actions=st.lists(
        st.tuples(
            st.integers(0, 400),
            st.sampled_from(ACTIONS),
            st.decimals(-1, 1, places=6).map(lambda share: abs(share) / 2),
            st.sampled_from(TERMS + DATED),
        ),
        max_size=8,
    ),
)
def test_every_balance_follows_from_its_transactions_and_they_from_the_fills(
    seed: int, actions: list[tuple[int, str, Decimal, Terms]]
) -> None:
    exchange = Exchange(seed, venue="plain", funding_interval_ms=60_000)
    assert isinstance(exchange.face, PlainFace)
    auditor = Auditor()
    auditor.take([*exchange.history.transactions, *exchange.history.balances.values()])
    for pushes, action, share, terms in actions:
        list(islice(exchange, pushes))
        act(exchange, action, share, terms)
    list(islice(exchange, 600))
    for moment in exchange.face.moments:
        auditor.take(moment)
    history = exchange.history
    assert {key: Decimal(str(one.total)) for key, one in history.balances.items()} == auditor.balances
    for position in history.positions.values():
        assert position.realized_pnl == net(history.transactions, position)


def test_the_history_has_everything_once_and_in_order() -> None:
    exchange = Exchange(1, venue="plain", funding_interval_ms=60_000)
    list(islice(exchange, 4_000))
    assert isinstance(exchange.face, PlainFace)
    history, auditor = exchange.history, Auditor()
    auditor.take(history.transactions[: len(FUNDS)])
    for moment in exchange.face.moments:
        auditor.take(moment)
    kinds = {f"{kind} trade" for kind in ("linear", "inverse", "spot", "option")}
    kinds |= {"linear liquidation", "inverse liquidation", "linear settlement"}
    assert sum(auditor.seen[kind] for kind in kinds) == len(history.fills)
    assert all(auditor.seen[what] for what in (*kinds, "trade", "funding", "liquidation", "deposit"))
    assert [one.trade_id for one in history.fills] == sorted({one.trade_id for one in history.fills})
    assert [one.id for one in history.transactions] == sorted({one.id for one in history.transactions})
    assert history.orders == auditor.orders
    assert {one.position_side for one in history.fills if one.terms.hedged} == {"long", "short"}


def test_what_expires_is_settled_and_traded_no_more() -> None:
    seen: Counter[str] = Counter()
    for seed in range(4):
        exchange = Exchange(seed, venue="plain", start_ms=EXPIRY_MS - 60_000)
        assert isinstance(exchange.face, PlainFace)
        auditor = Auditor()
        auditor.take(exchange.history.transactions[:])
        list(islice(exchange, 2_000))
        for moment in exchange.face.moments:
            auditor.take(moment)
        seen += auditor.seen
        history, dated = exchange.history, {one.name for one in DATED}
        mine = [one for one in history.positions.values() if one.terms.name in dated]
        assert not any(one.quantity for one in mine) and any(one.updated_ms for one in mine)
        assert {one.terms.name for one in history.open_orders()} <= {one.name for one in TERMS}
        over = [one for one in history.orders.values() if one.reason == "expiry"]
        assert over and {one.terms.name for one in over} <= dated
        ended_ms = {one.updated_ms for one in over}
        assert len(ended_ms) == 1 and EXPIRY_MS <= min(ended_ms) < EXPIRY_MS + 400
        assert max(one.executed_ms for one in history.fills if one.terms.name in dated) <= min(ended_ms)
        assert exchange.engine.markets.keys() == {one.name for one in TERMS}
    settled = {"linear settlement", "settlement", "linear expiry", "inverse expiry", "option expiry"}
    assert {what for what in seen if what.endswith(("settlement", "expiry"))} == settled
    assert seen["worthless"] and seen["worth something"]


def test_the_second_books_notice_a_wrong_settlement(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(terms: Terms, quantity: Decimal, price: Decimal) -> Decimal:
        return payoff(terms, quantity, price) + Decimal("1E-8")

    exchange = Exchange(1, venue="plain", start_ms=EXPIRY_MS - 60_000)
    monkeypatch.setattr(contract, "payoff", wrong)
    assert isinstance(exchange.face, PlainFace)
    auditor = Auditor()
    auditor.take(exchange.history.transactions[:])
    list(islice(exchange, 2_000))
    with pytest.raises(AssertionError):
        for moment in exchange.face.moments:
            auditor.take(moment)


def test_a_restarted_exchange_repeats_no_id() -> None:
    runs = []
    for start_ms in (1_600_000_000_000, 1_600_000_060_000):
        clock = count(start_ms, 10)
        exchange = Exchange(1, venue="plain", clock_ms=clock.__next__)
        list(islice(exchange, 1_000))
        history = exchange.history
        ids = [one.id for one in history.transactions]
        runs.append([*history.orders, *(one.trade_id for one in history.fills), *ids])
    assert not set(runs[0]) & set(runs[1])
